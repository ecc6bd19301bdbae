"""Analytics through the front door: who may ask, what is refused, and how old an answer may be."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock
from devicehub.logs import service as logs
from tests.factories import Account, bearing, make_account, make_device
from tests.web.refusals import refused

PATHS = [
    "/api/analytics/dashboard",
    "/api/analytics/realtime",
    "/api/analytics/comparison?devices={}",
    "/api/devices/{}/usage",
]


def filled(path: str, *devices: Any) -> str:
    return path.format(",".join(device["id"] for device in devices))


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_learns_nothing(client: FlaskClient, path: str) -> None:
    owner = make_account()
    devices = [make_device(owner.actor), make_device(owner.actor)]
    logs.add(owner.actor, devices[0]["id"], [{"event": "on", "level": "info", "at": clock.now()}])
    asked = filled(path, *(devices if "comparison" in path else devices[:1]))
    refused(client.get(asked), 401, "AUTHENTICATION_REQUIRED")
    answer = client.get(asked, headers=make_account().headers)
    if "{}" in path:
        refused(answer, 404, "DEVICE_NOT_FOUND")
    else:
        assert devices[0]["id"] not in answer.text
        assert answer.json.get("currentHourLogs", 0) == answer.json.get("summary", {}).get("totalLogs", 0) == 0


@pytest.mark.actor()
def test_a_fleet_that_did_nothing_has_a_dashboard(client: FlaskClient) -> None:
    found = client.get("/api/analytics/dashboard").json
    assert found["summary"]["totalDevices"] == found["summary"]["totalLogs"] == found["summary"]["totalUsage"] == 0
    assert len(found["usageTrend"]) == 7
    assert all(bucket == bucket | {"usage": 0, "average": None, "logCount": 0} for bucket in found["usageTrend"])
    assert found["deviceBreakdown"] == found["eventDistribution"] == found["deviceTypes"] == []


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("range=91d", "VALIDATION_ERROR"),
        ("range=0h", "VALIDATION_ERROR"),
        ("range=7w", "VALIDATION_ERROR"),
        ("timezone=Mars/Olympus", "VALIDATION_ERROR"),
        ("interval=minute", "VALIDATION_ERROR"),
        ("from=2026-01-01T00:00:00Z", "INVALID_DATE_RANGE"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "INVALID_DATE_RANGE"),
        ("range=7d&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z", "VALIDATION_ERROR"),
    ],
)
def test_what_is_no_range_is_refused(client: FlaskClient, query: str, code: str) -> None:
    refused(client.get(f"/api/analytics/dashboard?{query}"), 422, code)


@pytest.mark.actor()
def test_two_to_twenty_devices_of_ones_own_are_compared(client: FlaskClient, account: Account) -> None:
    ours, theirs = make_device(account.actor), make_device(make_account().actor)

    def compared(*ids: str) -> Any:
        return client.get(f"/api/analytics/comparison?devices={','.join(ids)}")

    refused(compared(ours["id"]), 422, "VALIDATION_ERROR")
    refused(compared(ours["id"], ours["id"]), 422, "VALIDATION_ERROR")
    refused(compared(*(f"{number:024x}" for number in range(21))), 422, "VALIDATION_ERROR")
    refused(compared(ours["id"], theirs["id"]), 404, "DEVICE_NOT_FOUND")
    refused(compared(ours["id"], "nonsense"), 404, "DEVICE_NOT_FOUND")


@pytest.mark.actor()
def test_a_dashboard_is_kept_for_a_while_and_asked_for_afresh(client: FlaskClient, account: Account) -> None:
    device = make_device(account.actor)
    first = client.get("/api/analytics/dashboard")
    client.post(f"/api/devices/{device['id']}/logs", json={"event": "on"})
    again = client.get("/api/analytics/dashboard")
    assert (first.headers["X-Cache"], again.headers["X-Cache"]) == ("MISS", "HIT")
    assert again.json["summary"]["recentLogs"] == 0
    unchanged = client.get("/api/analytics/dashboard", headers={"If-None-Match": first.headers["ETag"]})
    assert unchanged.status_code == 304
    fresh = client.get("/api/analytics/dashboard", headers={"Cache-Control": "no-cache"})
    assert (fresh.headers["X-Cache"], fresh.json["summary"]["recentLogs"]) == ("BYPASS", 1)


@pytest.mark.actor()
def test_what_goes_on_now_is_told(client: FlaskClient, account: Account) -> None:
    device, other = make_device(account.actor), make_device(account.actor)
    for _ in range(3):
        client.post(f"/api/devices/{device['id']}/heartbeat", json={})
    client.post(f"/api/devices/{other['id']}/heartbeat", json={"goodbye": True})
    client.post(f"/api/devices/{device['id']}/logs", json={"logs": [{"event": f"e{n}"} for n in range(12)]})
    found = client.get("/api/analytics/realtime").json
    assert (found["onlineDevices"], found["lateDevices"], found["offlineDevices"]) == (1, 0, 1)
    assert (found["heartbeatsPerMinute"], found["logsPerMinute"]) == (3, 12)
    assert found["currentHourLogs"] == 12
    assert len(found["recentActivity"]) == 10
    assert {one["deviceId"] for one in found["recentActivity"]} == {device["id"]}


@pytest.mark.actor()
def test_an_api_key_needs_the_scope(client: FlaskClient) -> None:
    def key(scope: str) -> dict[str, str]:
        return bearing(client.post("/api/auth/api-keys", json={"name": "k", "scopes": [scope]}).json["key"])

    assert client.get("/api/analytics/dashboard", headers=key("analytics:read")).status_code == 200
    refused(client.get("/api/analytics/dashboard", headers=key("logs:read")), 403, "INSUFFICIENT_SCOPE")


@pytest.mark.actor()
def test_analytics_have_a_limit_of_their_own(client: FlaskClient, using: Callable[..., Any]) -> None:
    with using(analytics_rate_limit="1 per minute"):
        assert client.get("/api/analytics/realtime").status_code == 200
        refused(client.get("/api/analytics/realtime"), 429, "ANALYTICS_RATE_LIMIT_EXCEEDED")
        assert client.get("/api/devices").status_code == 200
