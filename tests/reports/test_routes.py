"""Schedules and the usage report, through the front door."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core.events import Event
from tests.analytics.conftest import Write
from tests.factories import Account, go_on_in, join, make_account, make_device, make_schedule
from tests.web.refusals import refused

AT = "/api/reports/schedules"
NEW = {"name": "Every day", "type": "usage_report", "format": "pdf", "frequency": "daily", "hour": 6}
ClientOf = Callable[[Account], FlaskClient]


def test_a_stranger_sees_and_makes_none(client: FlaskClient) -> None:
    one = make_schedule(make_account().actor)
    asked = [("GET", ""), ("POST", ""), *((method, f"/{one}") for method in ("GET", "PATCH", "DELETE"))]
    for method, path in [*asked, ("POST", f"/{one}/run")]:
        refused(client.open(AT + path, method=method), 401, "AUTHENTICATION_REQUIRED")
    refused(client.get("/api/reports/usage"), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_anothers_are_unknown_also_within_one_organization(
    client: FlaskClient, client_of: ClientOf, account: Account
) -> None:
    other = make_account(role="viewer", organization_id=account.actor.organization_id)
    theirs = make_schedule(other.actor)
    assert client.get(AT).json["items"] == []
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/run")):
        refused(client.open(f"{AT}/{theirs}{path}", method=method), 404, "REPORT_SCHEDULE_NOT_FOUND")
    assert len(client_of(other).get(AT).json["items"]) == 1


@pytest.mark.actor()
def test_ones_own_are_of_the_organization_they_were_made_in(client: FlaskClient, account: Account) -> None:
    one = make_schedule(account.actor)
    elsewhere = make_account().actor.organization_id
    join(account, elsewhere, role="viewer")
    there = go_on_in(account, elsewhere)
    assert client.get(AT, headers=there.headers).json["items"] == []
    refused(client.get(f"{AT}/{one}", headers=there.headers), 404, "REPORT_SCHEDULE_NOT_FOUND")


@pytest.mark.actor(role="viewer")
def test_a_viewer_makes_one_and_finds_it_again(client: FlaskClient, told: list[Event]) -> None:
    answer = client.post(AT, json=NEW)
    assert answer.status_code == 201
    made = answer.json
    assert {name: made[name] for name in NEW} == NEW
    assert (made["weekday"], made["day"], made["enabled"]) == ("monday", 1, True)
    assert made["filters"] == {"deviceIds": [], "eventTypes": [], "includeInactive": False}
    assert made["nextRunAt"].endswith("T06:00:00.000Z")
    assert (made["lastRunAt"], made["lastExportId"]) == (None, None)
    assert client.get(answer.headers["Location"]).json == made
    assert client.get(AT).json["items"] == [made]
    assert [event.name for event in told] == ["report_schedule.created"]


@pytest.mark.actor()
def test_made_twice_with_one_key_it_is_one(client: FlaskClient) -> None:
    answers = [client.post(AT, json=NEW, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert client.get(AT).json["pagination"]["total"] == 1


@pytest.mark.actor()
def test_there_may_be_twenty_of_one_person(client: FlaskClient, account: Account) -> None:
    for _ in range(20):
        assert client.post(AT, json=NEW).status_code == 201
    refused(client.post(AT, json=NEW), 409, "CONFLICT")
    assert client.get(AT).json["pagination"]["total"] == 20


@pytest.mark.actor()
def test_its_devices_have_to_be_ones_own(client: FlaskClient, account: Account) -> None:
    own, theirs = make_device(account.actor)["id"], make_device(make_account().actor)["id"]
    for wrong in (theirs, "0" * 24, "x"):
        body = NEW | {"filters": {"deviceIds": [own, wrong]}}
        refused(client.post(AT, json=body), 404, "DEVICE_NOT_FOUND")
    made = client.post(AT, json=NEW | {"filters": {"deviceIds": [own]}}).json
    refused(client.patch(f"{AT}/{made['id']}", json={"filters": {"deviceIds": [theirs]}}), 404, "DEVICE_NOT_FOUND")
    assert client.get(f"{AT}/{made['id']}").json["filters"]["deviceIds"] == [own]


@pytest.mark.actor()
@pytest.mark.parametrize(
    "wrong",
    [
        {"hour": 24},
        {"day": 29},
        {"weekday": "someday"},
        {"frequency": "hourly"},
        {"format": "docx"},
        {"type": "logs"},
        {"name": "x"},
        {"enabled": None},
        {"filters": {"levels": ["error"]}},
        {"filters": None},
        {"nextRunAt": "2027-01-01T00:00:00Z"},
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, account: Account, wrong: dict[str, Any]) -> None:
    problem = refused(client.post(AT, json=NEW | wrong), 422, "VALIDATION_ERROR")
    assert [*problem["errors"]] == [*wrong]
    one = client.post(AT, json=NEW).json
    refused(client.patch(f"{AT}/{one['id']}", json=wrong), 422, "VALIDATION_ERROR")
    assert client.get(f"{AT}/{one['id']}").json == one


@pytest.mark.actor()
def test_only_what_changes_its_time_changes_when_it_is_due(client: FlaskClient) -> None:
    one = client.post(AT, json=NEW).json
    path = f"{AT}/{one['id']}"
    renamed = client.patch(path, json={"name": "Renamed", "format": "csv"}).json
    assert (renamed["name"], renamed["format"], renamed["nextRunAt"]) == ("Renamed", "csv", one["nextRunAt"])
    later = client.patch(path, json={"hour": 20}).json
    assert later["nextRunAt"].endswith("T20:00:00.000Z")
    assert client.patch(path, json={"enabled": False}).json["nextRunAt"] is None
    assert client.patch(path, json={}).json["nextRunAt"] is None
    assert client.patch(path, json={"enabled": True}).json["nextRunAt"].endswith("T20:00:00.000Z")


@pytest.mark.actor()
def test_what_is_deleted_is_gone(client: FlaskClient, account: Account) -> None:
    path = f"{AT}/{make_schedule(account.actor)}"
    assert client.delete(path).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        refused(client.open(path, method=method), 404, "REPORT_SCHEDULE_NOT_FOUND")
    assert client.get(AT).json["pagination"]["total"] == 0


@pytest.mark.actor(role="viewer")
def test_the_usage_report_is_cached_until_a_new_one_is_asked_for(client: FlaskClient) -> None:
    first = client.get("/api/reports/usage?range=1d")
    assert first.status_code == 200 and first.headers["X-Cache"] == "MISS"
    again = client.get("/api/reports/usage?range=1d", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.headers["X-Cache"]) == (304, "HIT")
    assert client.get("/api/reports/usage?range=1d&event=on&devices=").status_code == 404
    fresh = client.get("/api/reports/usage?range=1d", headers={"Cache-Control": "no-cache"})
    assert fresh.headers["X-Cache"] == "BYPASS"


@pytest.mark.actor()
def test_what_is_cached_is_of_the_same_devices_and_events(
    client: FlaskClient, write: Write, fleet: list[Any]
) -> None:
    write(20, seed=2)
    first, second = (device["id"] for device in fleet[:2])
    asked = [f"devices={first}", f"devices={second}", f"devices={first}&event=on", f"devices={first},{second}", ""]
    answers = [client.get(f"/api/reports/usage?range=21d&{query}") for query in asked]
    assert {answer.headers["X-Cache"] for answer in answers} == {"MISS"}
    assert len({answer.data for answer in answers}) == len(asked)
    counts = [answer.json["tables"][-1]["count"] for answer in answers]
    assert counts == [1, 1, 1, 2, 3]


@pytest.mark.actor()
def test_a_usage_report_of_others_devices_is_unknown(client: FlaskClient) -> None:
    theirs = make_device(make_account().actor)["id"]
    for wrong in (theirs, "x", "0" * 24):
        refused(client.get(f"/api/reports/usage?devices={wrong}"), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
@pytest.mark.parametrize(
    "query", ["event=on", "interval=hour", "levels=error", "range=91d", "range=1d&from=2027-01-01T00:00:00Z"]
)
def test_a_usage_report_of_what_makes_no_sense_is_refused(client: FlaskClient, query: str) -> None:
    refused(client.get(f"/api/reports/usage?{query}"), 422, "VALIDATION_ERROR")


@pytest.mark.actor()
def test_more_devices_than_one_answer_is_for_are_refused(client: FlaskClient) -> None:
    many = ",".join(f"{number:024x}" for number in range(101))
    refused(client.get(f"/api/reports/usage?devices={many}"), 422, "VALIDATION_ERROR")
