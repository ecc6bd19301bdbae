"""Logs through the front door: who may write and read them, what is taken, and what is said of the rest."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock
from devicehub.devices import keys
from tests.factories import Account, bearing, make_account, make_device
from tests.web.refusals import refused


def at(device: Any, rest: str = "") -> str:
    return f"/api/devices/{device['id']}/logs{rest}"


def ago(**span: float) -> str:
    return clock.rfc3339(clock.now() - timedelta(**span))


@pytest.fixture
def device(account: Account) -> Any:
    return make_device(account.actor)


@pytest.mark.parametrize("path", ["", "/gaps"])
def test_a_stranger_reads_and_writes_nothing(client: FlaskClient, path: str) -> None:
    device = make_device(make_account().actor)
    refused(client.get(at(device, path)), 401, "AUTHENTICATION_REQUIRED")
    refused(client.post(at(device), json={"event": "on"}), 401, "AUTHENTICATION_REQUIRED")
    stranger = make_account().headers
    refused(client.get(at(device, path), headers=stranger), 404, "DEVICE_NOT_FOUND")
    refused(client.post(at(device), json={"event": "on"}, headers=stranger), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
def test_one_log_is_answered_with_itself_and_listed(client: FlaskClient, device: Any) -> None:
    told = {
        "event": "units_consumed",
        "value": 0.75,
        "level": "warning",
        "message": "Ünits",
        "metadata": {"a": [1]},
    }
    answer = client.post(at(device), json=told | {"timestamp": ago(hours=1), "sequence": 7})
    assert answer.status_code == 201
    log = answer.json["log"]
    assert {name: log[name] for name in told} == told
    assert (log["deviceId"], log["sequence"]) == (device["id"], 7)
    assert client.get(at(device)).json["items"] == [log]


@pytest.mark.actor()
def test_a_log_without_a_time_happened_now_and_at_level_info(client: FlaskClient, device: Any) -> None:
    log = client.post(at(device), json={"event": "on"}).json["log"]
    assert log["timestamp"] == log["receivedAt"] or log["timestamp"] < log["receivedAt"]
    assert (log["level"], log["value"], log["message"], log["metadata"]) == ("info", None, None, {})


@pytest.mark.actor()
def test_of_many_the_good_ones_are_kept_and_the_others_named(client: FlaskClient, device: Any) -> None:
    many: list[Any] = [
        {"event": "on"},
        {"event": ""},
        {"event": "off", "value": "warm"},
        "nonsense",
        {"event": "off", "timestamp": ago(minutes=-6)},
        {"event": "off", "timestamp": ago(days=31)},
        {"event": "off", "timestamp": ago(days=29)},
        {"event": "off", "colour": "red"},
    ]
    answer = client.post(at(device), json={"logs": many})
    assert (answer.status_code, answer.json["accepted"]) == (201, 2)
    wrong = {each["index"]: each["errors"] for each in answer.json["rejected"]}
    assert {index: sorted(errors) for index, errors in wrong.items()} == {
        1: ["event"],
        2: ["value"],
        3: ["_schema"],
        4: ["timestamp"],
        5: ["timestamp"],
        7: ["colour"],
    }
    assert [item["event"] for item in client.get(at(device)).json["items"]] == ["on", "off"]


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "event"),
        ({"event": "on", "logs": [{"event": "on"}]}, "event"),
        ({"logs": []}, "logs"),
        ({"logs": [{"event": "on"}] * 1001}, "logs"),
        ({"event": "on", "timestamp": "yesterday"}, "timestamp"),
        ({"event": "on", "timestamp": "2020-01-01T00:00:00Z"}, "timestamp"),
        ({"event": "on", "metadata": {"a": "x" * 4097}}, "metadata"),
        ({"event": "on", "level": "loud"}, "level"),
        ({"event": "x" * 101}, "event"),
        ({"event": "on", "message": "x" * 2001}, "message"),
    ],
)
def test_a_body_that_is_wrong_is_refused(client: FlaskClient, device: Any, body: Any, field: str) -> None:
    problem = refused(client.post(at(device), json=body), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == [field]
    assert client.get(at(device)).json["items"] == []


@pytest.mark.actor()
def test_a_sequence_that_comes_again_is_dropped(client: FlaskClient, device: Any, account: Account) -> None:
    first = client.post(at(device), json={"logs": [{"event": "on", "sequence": n} for n in (1, 2, 2, 5)]}).json
    assert (first["accepted"], first["duplicates"]) == (3, 1)
    again = client.post(at(device), json={"logs": [{"event": "on", "sequence": n} for n in (2, 5, 9)]}).json
    assert (again["accepted"], again["duplicates"]) == (1, 2)
    assert client.post(at(device), json={"event": "on", "sequence": 9}).json["duplicates"] == 1
    other = make_device(account.actor)
    assert "log" in client.post(at(other), json={"event": "on", "sequence": 9}).json


@pytest.mark.actor()
def test_gaps_tell_which_numbers_never_came(client: FlaskClient, device: Any) -> None:
    empty = client.get(at(device, "/gaps")).json
    assert empty == {"deviceId": device["id"], "first": None, "last": None, "missing": 0, "gaps": []}
    client.post(at(device), json={"logs": [{"event": "on", "sequence": n} for n in (3, 4, 8, 10, 11)]})
    client.post(at(device), json={"event": "on"})
    found = client.get(at(device, "/gaps")).json
    assert (found["first"], found["last"], found["missing"]) == (3, 11, 4)
    assert found["gaps"] == [{"from": 5, "to": 7, "missing": 3}, {"from": 9, "to": 9, "missing": 1}]


@pytest.mark.actor()
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_shows_each_log_once_while_others_are_written(client: FlaskClient, device: Any, order: str) -> None:
    same = ago(hours=2)
    before = [{"event": f"e{n}", "timestamp": same if n % 3 else ago(hours=1, seconds=n)} for n in range(30)]
    client.post(at(device), json={"logs": before})
    seen: list[str] = []
    moments: list[str] = []
    cursor = ""
    while True:
        found = client.get(at(device, f"?limit=7&order={order}{cursor}")).json
        seen += [item["event"] for item in found["items"]]
        moments += [item["timestamp"] for item in found["items"]]
        client.post(at(device), json={"logs": [{"event": "new"}, {"event": "old", "timestamp": ago(days=20)}]})
        if found["pagination"]["nextCursor"] is None or len(seen) > 60:
            break
        cursor = f"&cursor={found['pagination']['nextCursor']}"
    ours = [event for event in seen if event.startswith("e")]
    assert sorted(ours) == sorted(one["event"] for one in before)
    assert moments == sorted(moments, reverse=order == "desc")


@pytest.mark.actor()
def test_a_list_is_narrowed_by_event_level_and_time(client: FlaskClient, device: Any) -> None:
    client.post(
        at(device),
        json={
            "logs": [
                {"event": "on", "timestamp": ago(hours=3)},
                {"event": "off", "level": "error", "timestamp": ago(hours=2)},
                {"event": "on", "level": "error", "timestamp": ago(hours=1)},
            ]
        },
    )

    def listed(query: str) -> list[str]:
        return [item["event"] for item in client.get(at(device, f"?{query}")).json["items"]]

    assert listed("event=on") == ["on", "on"]
    assert listed("level=error") == ["on", "off"]
    assert listed("event=off&level=error") == ["off"]
    assert listed(f"from={ago(hours=2, minutes=1)}") == ["on", "off"]
    assert listed(f"to={ago(hours=2, minutes=1)}") == ["on"]
    assert listed(f"from={ago(hours=2, minutes=1)}&to={ago(hours=1, minutes=1)}&order=asc") == ["off"]


@pytest.mark.actor()
def test_a_cursor_is_good_for_its_own_list_only(client: FlaskClient, device: Any, account: Account) -> None:
    client.post(at(device), json={"logs": [{"event": "on"}] * 3})
    cursor = client.get(at(device, "?limit=1")).json["pagination"]["nextCursor"]
    other = make_device(account.actor)
    for path in (
        at(other, f"?cursor={cursor}"),
        at(device, f"?order=asc&cursor={cursor}"),
        at(device, "?cursor=x"),
    ):
        refused(client.get(path), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_a_device_logs_with_its_key_for_itself_alone_and_lives_by_it(
    client: FlaskClient, account: Account, device: Any
) -> None:
    key = keys.create(account.actor, device["id"])[1]
    other = make_device(account.actor)
    assert client.post(at(device), json={"event": "on"}, headers=bearing(key)).status_code == 201
    refused(client.post(at(other), json={"event": "on"}, headers=bearing(key)), 404, "DEVICE_NOT_FOUND")
    refused(client.get(at(device), headers=bearing(key)), 403, "FORBIDDEN")
    shown = client.get(f"/api/devices/{device['id']}/presence", headers=account.headers).json
    assert (shown["presence"], shown["lastSignal"]["kind"]) == ("online", "log")


@pytest.mark.actor()
def test_a_log_is_a_sign_of_life_whoever_sends_it_on_and_reading_is_none(client: FlaskClient, device: Any) -> None:
    client.get(at(device))
    client.post(at(device), json={"logs": [{"event": ""}]})
    assert client.get(f"/api/devices/{device['id']}").json["presence"] == "never_seen"
    client.post(at(device), json={"event": "on"})
    assert client.get(f"/api/devices/{device['id']}").json["presence"] == "online"


@pytest.mark.actor()
def test_a_viewer_reads_and_does_not_write(client: FlaskClient, account: Account, device: Any) -> None:
    viewer = make_account(role="viewer", organization_id=account.actor.organization_id).headers
    refused(client.post(at(device), json={"event": "on"}, headers=viewer), 403, "INSUFFICIENT_ROLE")
    assert client.get(at(device), headers=viewer).status_code == 200


@pytest.mark.actor()
def test_an_api_key_needs_the_scope(client: FlaskClient, account: Account, device: Any) -> None:
    def key(scope: str) -> dict[str, str]:
        made = client.post("/api/auth/api-keys", json={"name": "k", "scopes": [scope]}, headers=account.headers)
        return bearing(made.json["key"])

    writes, reads = key("logs:write"), key("logs:read")
    assert client.post(at(device), json={"event": "on"}, headers=writes).status_code == 201
    refused(client.get(at(device), headers=writes), 403, "INSUFFICIENT_SCOPE")
    assert client.get(at(device), headers=reads).status_code == 200
    refused(client.post(at(device), json={"event": "on"}, headers=reads), 403, "INSUFFICIENT_SCOPE")


@pytest.mark.actor()
def test_logs_count_as_ingestion(
    client: FlaskClient, account: Account, device: Any, using: Callable[..., Any]
) -> None:
    with using(ingest_rate_limit="2 per minute"):
        for _ in range(2):
            assert client.post(at(device), json={"event": "on"}, headers=account.headers).status_code == 201
        refused(client.post(at(device), json={"event": "on"}, headers=account.headers), 429, "RATE_LIMIT_EXCEEDED")
