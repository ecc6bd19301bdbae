"""Lists and searches of logs: what is found, by whom, and that the whole is found however little is looked at."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock
from devicehub.logs import listing
from tests.factories import Account, make_account, make_device
from tests.web.refusals import refused


def ago(**span: float) -> str:
    return clock.rfc3339(clock.now() - timedelta(**span))


def log(event: str, minutes: float, **rest: Any) -> dict[str, Any]:
    return {"event": event, "timestamp": ago(minutes=minutes), **rest}


def write(client: FlaskClient, device: Any, *many: dict[str, Any]) -> None:
    answer = client.post(f"/api/devices/{device['id']}/logs", json={"logs": list(many)})
    assert answer.json["accepted"] == len(many)


def walk(client: FlaskClient, path: str, **query: Any) -> list[str]:
    """The events of all parts of a list, in order."""
    seen: list[str] = []
    asked = dict(query)
    for _ in range(100):
        found = client.get(path, query_string=asked).json
        seen += [item["event"] for item in found["items"]]
        if (cursor := found["pagination"]["nextCursor"]) is None:
            return seen
        asked = query | {"cursor": cursor}
    pytest.fail("it never ends")


@pytest.fixture
def fleet(client: FlaskClient, account: Account) -> list[Any]:
    """Two devices, with three logs each."""
    both = [make_device(account.actor) for _ in range(2)]
    write(client, both[0], log("boot", 60, message="Firmware 1.2 (beta)"), log("read_timeout", 50, level="error"),
          log("on", 40, message="Ünits: 100%"))  # fmt: skip
    write(client, both[1], log("on", 55), log("off", 45, level="warning", message="a.b*c"), log("boot", 35))
    return both


def test_a_stranger_lists_nothing(client: FlaskClient) -> None:
    refused(client.get("/api/logs"), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor()
def test_another_organization_sees_none_of_them(
    client_of: Callable[[Account], FlaskClient], fleet: list[Any]
) -> None:
    stranger = client_of(make_account())
    for query in ("", "?search=boot", f"?deviceId={fleet[0]['id']}"):
        assert stranger.get(f"/api/logs{query}").json["items"] == []
    refused(stranger.get(f"/api/devices/{fleet[0]['id']}/logs?search=boot"), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
def test_all_devices_are_listed_in_the_order_of_time(client: FlaskClient, fleet: list[Any]) -> None:
    whole = ["boot", "on", "off", "read_timeout", "on", "boot"]
    assert walk(client, "/api/logs") == whole
    assert walk(client, "/api/logs", limit=1, order="asc") == whole[::-1]
    one, two = (device["id"] for device in fleet)
    assert walk(client, "/api/logs", deviceId=two) == ["boot", "off", "on"]
    assert walk(client, "/api/logs", deviceId=[one, two], limit=4) == whole
    assert walk(client, "/api/logs", deviceId=["nonsense"]) == []
    assert walk(client, "/api/logs", event="on") == ["on", "on"]
    assert walk(client, "/api/logs", level="error") == walk(
        client, "/api/logs", level="error", event="read_timeout"
    )
    assert walk(client, "/api/logs", level="info", deviceId=one, event="on") == ["on"]
    assert walk(client, "/api/logs", **{"from": ago(minutes=51), "to": ago(minutes=44)}) == ["off", "read_timeout"]


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("TIMEOUT", ["read_timeout"]),
        ("ünits", ["on"]),
        ("1.2 (BETA)", ["boot"]),
        ("a.b*", ["off"]),
        (".*", []),
        ("100%", ["on"]),
        ("[", []),
        ("$ne", []),
    ],
)
def test_a_search_is_literal_and_takes_no_heed_of_case(
    client: FlaskClient, fleet: list[Any], search: str, found: list[str]
) -> None:
    assert walk(client, "/api/logs", search=search) == found
    each = [walk(client, f"/api/devices/{device['id']}/logs", search=search) for device in fleet]
    assert sorted(event for events in each for event in events) == sorted(found)


@pytest.mark.actor()
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("most", [1, 3, 10, 21])
def test_however_few_are_looked_at_at_a_time_all_are_found(
    client: FlaskClient, account: Account, monkeypatch: pytest.MonkeyPatch, order: str, most: int
) -> None:
    device = make_device(account.actor)
    same = ago(hours=2)
    many = [{"event": f"e{n}", "timestamp": same if n % 2 else ago(minutes=n + 1), "message": "rare" if n % 3 == 0
             else "common"} for n in range(21)]  # fmt: skip
    write(client, device, *many)
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", most)
    wanted = sorted(one["event"] for one in many if one["message"] == "rare")
    for path in ("/api/logs", f"/api/devices/{device['id']}/logs"):
        assert sorted(walk(client, path, search="rare", limit=2, order=order)) == wanted
        assert walk(client, path, search="nowhere", order=order) == []


@pytest.mark.actor()
def test_the_query_of_a_list_is_judged(client: FlaskClient, fleet: list[Any]) -> None:
    for query in ("search=" + "x" * 101, "level=loud", "order=up", "cursor=x", "&".join(["deviceId=a"] * 21)):
        refused(client.get(f"/api/logs?{query}"), 422, "VALIDATION_ERROR")
    device = fleet[0]["id"]
    backwards = "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"
    for path in ("/api/logs", f"/api/devices/{device}/logs"):
        refused(client.get(f"{path}?{backwards}"), 422, "INVALID_DATE_RANGE")
