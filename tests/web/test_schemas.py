"""Keys: camelCase out, both cases in, never both at once, and what is the client's own left alone."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import Account, make_device
from tests.web.operations import operations
from tests.web.refusals import refused

NEW = {"name": "Boiler", "type": "sensor"}


def keys(value: Any) -> Iterator[str]:
    """Every key of a JSON value, but those inside what is the client's own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in ("metadata", "metrics"):
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


@pytest.mark.actor()
def test_every_key_that_goes_out_is_in_camel_case(client: FlaskClient, account: Account) -> None:
    device = make_device(account.actor)
    answers = [
        client.get("/api/users/profile"),
        client.get("/api/devices"),
        client.get(f"/api/devices/{device['id']}"),
        client.post(f"/api/devices/{device['id']}/heartbeat", json={"firmwareVersion": "1"}),
        client.post("/api/devices", json={"nonsense_key": 1}),
        client.post("/api/auth/login", json={"email": account.email, "password": "correct horse battery"}),
        client.get("/health"),
    ]
    found = {key for answer in answers for key in keys(answer.json) if "errors" not in answer.json}
    assert len(found) > 40
    assert [key for key in found if not re.fullmatch(r"[a-z][a-zA-Z0-9]*", key)] == []


@pytest.mark.actor()
def test_a_body_may_be_spelled_in_either_case(client: FlaskClient) -> None:
    camel = NEW | {"serialNumber": "S1", "heartbeatInterval": 30}
    snake = NEW | {"serial_number": "S2", "heartbeat_interval": 30}
    for body in (camel, snake):
        answer = client.post("/api/devices", json=body)
        assert (answer.status_code, answer.json["heartbeatInterval"]) == (201, 30)


@pytest.mark.actor()
@pytest.mark.parametrize("values", [("S1", "S2"), ("S1", "S1"), ("S1", None)])
def test_a_key_given_in_both_cases_is_refused(client: FlaskClient, values: tuple[Any, Any]) -> None:
    body = NEW | {"serialNumber": values[0], "serial_number": values[1]}
    problem = refused(client.post("/api/devices", json=body), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["serialNumber"]


@pytest.mark.actor()
def test_errors_name_the_camel_case_key_however_it_was_spelled(client: FlaskClient) -> None:
    for spelled in ("heartbeatInterval", "heartbeat_interval"):
        problem = refused(client.post("/api/devices", json=NEW | {spelled: 1}), 422, "VALIDATION_ERROR")
        assert list(problem["errors"]) == ["heartbeatInterval"]
    problem = refused(client.get("/api/devices?per_page=1000"), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["limit"]


@pytest.mark.actor()
def test_what_lies_inside_metadata_keeps_its_names(client: FlaskClient, account: Account) -> None:
    own = {"serial_number": 1, "serialNumber": 2, "a_b": {"heartbeat_interval": [{"first_name": None}]}, "é ü": ""}
    device = client.post("/api/devices", json=NEW | {"metadata": own}).json
    assert device["metadata"] == own
    assert client.get(f"/api/devices/{device['id']}").json["metadata"] == own


@pytest.mark.actor()
def test_names_of_metrics_stay_as_they_are(client: FlaskClient, account: Account) -> None:
    path = f"/api/devices/{make_device(account.actor)['id']}"
    metrics = {"cpu_load": 0.5, "cpuLoad": 1, "firmware_version": 2.25}
    client.post(f"{path}/heartbeat", json={"metrics": metrics})
    assert client.get(path).json["metrics"] == metrics


@pytest.mark.actor()
def test_a_query_may_be_spelled_in_either_case(client: FlaskClient, account: Account) -> None:
    make_device(account.actor)
    for spelled in ("ownerId", "owner_id"):
        found = client.get(
            f"/api/devices?{spelled}={account.actor.user_id}&per{'_p' if '_' in spelled else 'P'}age=5"
        )
        assert (found.json["pagination"]["total"], found.json["pagination"]["limit"]) == (1, 5)


@pytest.mark.actor(platform_admin=True)
def test_no_key_of_a_query_is_taken_in_both_cases(client: FlaskClient) -> None:
    asked = 0
    for operation in operations():
        for name in (parameter["name"] for parameter in operation.query):
            snake = re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)
            if snake != name:
                answer = client.get(f"{operation.path}?{name}=1&{snake}=1")
                assert list(refused(answer, 422, "VALIDATION_ERROR")["errors"]) == [name], operation
                asked += 1
    assert asked >= 1


@pytest.mark.actor()
@pytest.mark.parametrize("query", ["limit=1&perPage=2", "limit=1&per_page=1", "perPage=1&per_page=1"])
def test_a_page_has_one_size(client: FlaskClient, query: str) -> None:
    assert list(refused(client.get(f"/api/devices?{query}"), 422)["errors"]) == ["limit"]


@pytest.mark.actor()
def test_a_key_of_a_query_may_be_repeated_where_a_list_is_taken(client: FlaskClient, account: Account) -> None:
    make_device(account.actor, name="Both", tags=["a", "b"])
    make_device(account.actor, name="One", tags=["a"])
    names = [item["name"] for item in client.get("/api/devices?tag=a&tag=b").json["items"]]
    assert names == ["Both"]
    assert client.get("/api/devices?tag=a").json["pagination"]["total"] == 2


@pytest.mark.actor()
@pytest.mark.parametrize("time", ["2026-01-31T12:00:00", "yesterday", "", "2026-02-30T12:00:00Z", 1_770_000_000])
def test_a_time_needs_an_offset_and_a_calendar(client: FlaskClient, account: Account, time: Any) -> None:
    path = f"/api/devices/{make_device(account.actor)['id']}/heartbeat"
    problem = refused(client.post(path, json={"sentAt": time}), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["sentAt"]


@pytest.mark.actor()
@pytest.mark.parametrize(
    "time",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31T12:00:00.123456-05:00",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_a_time_of_any_offset_is_taken(client: FlaskClient, account: Account, time: str) -> None:
    path = f"/api/devices/{make_device(account.actor)['id']}/heartbeat"
    assert client.post(path, json={"sent_at": time}).status_code == 200


@pytest.mark.actor()
@pytest.mark.parametrize("name", ["x\u0000y", "x\u0007y", "x\u009by", "   ", " x ", "x" * 101])
def test_text_has_bounds_and_no_control_characters(client: FlaskClient, name: str) -> None:
    problem = refused(client.patch("/api/users/profile", json={"name": name}), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["name"]


@pytest.mark.actor()
def test_text_loses_its_outer_blanks_and_nothing_else(client: FlaskClient) -> None:
    name = "Žofie <b>O'Brien</b> \N{ROBOT FACE} \N{ARABIC-INDIC DIGIT ONE}"
    assert client.patch("/api/users/profile", json={"name": f"  {name} \n"}).json["name"] == name
    answer = client.get("/api/users/profile")
    assert answer.json["name"] == name
    assert answer.headers["Content-Type"] == "application/json"
