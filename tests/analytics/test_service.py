"""Whatever is asked of what was counted comes to what the logs say, number by number."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import calendar, clock, mongo
from devicehub.jobs import service as jobs
from devicehub.logs.models import USAGE
from tests.analytics.conftest import Write, moment
from tests.factories import Account, log_in
from tests.jobs.inline import run_job
from tests.web.refusals import refused

ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe"]
Rows = list[dict[str, Any]]


def about(number: float) -> Any:
    return pytest.approx(number, abs=2e-6)


def values(rows: Rows) -> list[float]:
    return [row["value"] for row in rows if "value" in row]


def mean(rows: Rows) -> Any:
    found = values(rows)
    return about(sum(found) / len(found)) if found else None


def within(rows: Rows, told: Any) -> Rows:
    start, end = moment(told["from"]), moment(told["to"])
    return [row for row in rows if start <= row["at"] < end]


def trend_is_right(rows: Rows, told: Any, trend: Any) -> None:
    """Every bucket from the first to the last, each with what lies in it."""
    zone = ZoneInfo(told["timezone"])
    starts = [*calendar.starts(moment(told["from"]), moment(told["to"]), told["interval"], zone)]
    assert [moment(bucket["timestamp"]) for bucket in trend] == starts
    lying_in = defaultdict(list)
    for row in rows:
        lying_in[calendar.floor(row["at"], told["interval"], zone)].append(row)
    for start, bucket in zip(starts, trend, strict=True):
        inside = lying_in[start]
        used = [row for row in inside if row["event"] == USAGE]
        assert (bucket["usage"], bucket["average"]) == (about(sum(values(used))), mean(used)), bucket
        assert bucket["logCount"] == len(inside)


def some_query(draw: random.Random) -> str:
    zone, interval = draw.choice(ZONES), draw.choice(["", "&interval=hour", "&interval=day", "&interval=week"])
    if draw.random() < 0.5:
        span = f"range={draw.choice(['1h', '24h', '30h', '2d', '7d', '21d'])}"
    else:
        now = clock.now()
        ends = sorted(now - timedelta(seconds=draw.randrange(18 * 86_400)) for _ in range(2))
        span = "&".join(f"{name}={clock.rfc3339(at)}" for name, at in zip(("from", "to"), ends, strict=True))
    return f"{span}{interval}&timezone={zone}"


@pytest.mark.actor()
@pytest.mark.parametrize("kept", [None, "Europe/Berlin", "Asia/Kathmandu"])
def test_dashboards_of_any_range_in_any_zone_are_those_of_the_logs(
    client: FlaskClient, account: Account, write: Write, fleet: list[Any], kept: str | None
) -> None:
    if kept:
        zone = {"_id": ObjectId(account.actor.organization_id), "zone": kept, "ready": True}
        mongo.database()["usage_zones"].insert_one(zone)
    rows, draw = write(150, seed=len(kept or "")), random.Random(kept)
    for _ in range(25):
        query = some_query(draw)
        found = client.get(f"/api/analytics/dashboard?{query}").json
        told = found["summary"]["range"]
        inside = within(rows, told)
        used = [row for row in inside if row["event"] == USAGE]
        assert found["summary"]["recentLogs"] == len(inside), query
        assert found["summary"]["totalLogs"] == len(rows)
        assert found["summary"]["totalUsage"] == about(sum(values(used)))
        trend_is_right(inside, told, found["usageTrend"])
        assert sum(bucket["logCount"] for bucket in found["usageTrend"]) == len(inside)
        counts = Counter(row["event"] for row in inside)
        assert {one["event"]: one["count"] for one in found["eventDistribution"]} == counts
        for one in found["eventDistribution"]:
            ours = values([row for row in inside if row["event"] == one["event"]])
            assert one["total"] == about(sum(ours))
        devices = Counter(row["device"] for row in inside)
        assert {one["deviceId"]: one["logCount"] for one in found["deviceBreakdown"]} == devices
        for one in found["deviceBreakdown"]:
            assert one["usage"] == about(sum(values([row for row in used if row["device"] == one["deviceId"]])))


@pytest.mark.actor()
def test_the_usage_of_a_device_is_that_of_its_logs(client: FlaskClient, write: Write, fleet: list[Any]) -> None:
    rows, draw = write(200, seed=3), random.Random(4)
    for _ in range(25):
        query, device, event = (
            some_query(draw),
            draw.choice(fleet)["id"],
            draw.choice([USAGE, "on", "a.b", "none"]),
        )
        found = client.get(f"/api/devices/{device}/usage?{query}&event={event}&percentiles=true").json
        inside = [row for row in within(rows, found["range"]) if (row["device"], row["event"]) == (device, event)]
        ours, summary = sorted(values(inside)), found["summary"]
        assert summary["totalUnits"] == about(sum(ours)), query
        assert (summary["logCount"], summary["averagePerLog"]) == (len(inside), mean(inside))
        assert (summary["minimum"], summary["maximum"]) == ((ours[0], ours[-1]) if ours else (None, None))
        assert summary["p50"] == (ours[(len(ours) + 1) // 2 - 1] if ours else None)
        for bucket in found["trend"]:
            start = moment(bucket["timestamp"])
            zone, interval = ZoneInfo(found["range"]["timezone"]), found["range"]["interval"]
            here = [row for row in inside if calendar.floor(row["at"], interval, zone) == start]
            assert (bucket["usage"], bucket["logCount"]) == (about(sum(values(here))), len(here))


@pytest.mark.actor()
def test_devices_are_compared_by_what_they_used(client: FlaskClient, write: Write, fleet: list[Any]) -> None:
    rows, draw = write(100, seed=5), random.Random(6)
    wanted = ",".join(device["id"] for device in fleet)
    for _ in range(10):
        found = client.get(f"/api/analytics/comparison?devices={wanted}&{some_query(draw)}").json
        inside = within(rows, found["range"])
        assert [one["rank"] for one in found["devices"]] == [1, 2, 3]
        totals = [one["totalUsage"] for one in found["devices"]]
        assert totals == sorted(totals, reverse=True)
        for one in found["devices"]:
            ours = [row for row in inside if row["device"] == one["deviceId"]]
            used = [row for row in ours if row["event"] == USAGE]
            assert (one["totalUsage"], one["averageUsage"]) == (about(sum(values(used))), mean(used))
            assert (one["logCount"], one["uniqueEvents"]) == (len(ours), len({row["event"] for row in ours}))


@pytest.mark.actor()
def test_a_day_on_which_the_clocks_change_has_its_own_length(
    client: FlaskClient, account: Account, fleet: list[Any], clock: Callable[[float], None]
) -> None:
    """On 2027-03-28 Berlin has 23 hours, from 23:00 UTC of the day before."""
    noon = datetime(2027, 3, 29, 10, tzinfo=UTC)
    clock((noon - datetime.now(UTC)).total_seconds())
    path = f"/api/devices/{fleet[0]['id']}"
    for at in ("2027-03-27T22:59:00Z", "2027-03-27T23:00:00Z", "2027-03-28T21:59:00Z", "2027-03-28T22:00:00Z"):
        told = {"event": USAGE, "value": 1, "timestamp": at}
        assert client.post(f"{path}/logs", json=told, headers=_again(account)).status_code == 201
    found = client.get(f"{path}/usage?range=3d&timezone=Europe/Berlin", headers=_again(account)).json
    assert [(bucket["timestamp"], bucket["usage"]) for bucket in found["trend"]] == [
        ("2027-03-26T23:00:00.000Z", 1),
        ("2027-03-27T23:00:00.000Z", 2),
        ("2027-03-28T22:00:00.000Z", 1),
    ]


@pytest.mark.actor()
def test_of_the_day_that_runs_only_what_lies_in_the_range_is_told(
    client: FlaskClient, account: Account, fleet: list[Any], clock: Callable[[float], None]
) -> None:
    clock((datetime(2027, 3, 29, 10, 2, tzinfo=UTC) - datetime.now(UTC)).total_seconds())
    headers = {**_again(account), "Cache-Control": "no-cache"}
    for number, at in enumerate(("08:30", "09:59", "10:01", "10:06")):
        told = {"event": USAGE, "value": 1, "timestamp": f"2027-03-29T{at}:00Z"}
        path = f"/api/devices/{fleet[number % 2]['id']}/logs"
        assert client.post(path, json=told, headers=headers).status_code == 201
    spans = {("00:00", "10:00"): (1, 1), ("00:00", "10:05"): (2, 1), ("00:00", "11:00"): (2, 2),
             ("05:30", "12:00"): (2, 2), ("09:00", "11:00"): (1, 2)}  # fmt: skip
    for (start, end), expected in spans.items():
        query = f"from=2027-03-29T{start}:00Z&to=2027-03-29T{end}:00Z"
        found = client.get(f"/api/analytics/dashboard?{query}", headers=headers).json
        counts = {one["deviceId"]: one["logCount"] for one in found["deviceBreakdown"]}
        assert tuple(counts[device["id"]] for device in fleet[:2]) == expected, query
        told = found["summary"]
        assert (told["recentLogs"], told["totalUsage"]) == (sum(expected), sum(expected))
        assert sum(bucket["logCount"] for bucket in found["usageTrend"]) == sum(expected)


def _again(account: Account) -> dict[str, str]:
    """A token that is good at the time it is."""
    return log_in(account.email).headers


@pytest.mark.actor()
def test_nothing_from_before_what_is_kept_is_counted(
    client: FlaskClient, account: Account, write: Write, fleet: list[Any]
) -> None:
    rows = write(100, seed=8)
    path = f"/api/organizations/{account.actor.organization_id}"
    assert client.patch(path, json={"logRetentionDays": 5}).json["logRetentionDays"] == 5
    found = client.get("/api/analytics/dashboard?range=20d", headers={"Cache-Control": "no-cache"}).json
    oldest = moment(found["summary"]["range"]["oldestKept"])
    kept = [row for row in rows if row["at"] >= oldest]
    assert 0 < len(kept) < len(rows)
    assert (found["summary"]["recentLogs"], found["summary"]["totalLogs"]) == (len(kept), len(kept))
    assert run_job(jobs.enqueue("logs.tidy")).status == "completed"
    again = client.get("/api/analytics/dashboard?range=20d", headers={"Cache-Control": "no-cache"}).json
    assert again | {"generatedAt": ""} == found | {"generatedAt": ""}
    old = clock.rfc3339(oldest - timedelta(days=2)), clock.rfc3339(oldest - timedelta(days=1))
    refused(client.get(f"/api/analytics/dashboard?from={old[0]}&to={old[1]}"), 422, "INVALID_DATE_RANGE")
