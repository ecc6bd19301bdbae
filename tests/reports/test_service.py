"""A usage report has the figures of analytics, number by number, also where the clocks are changed."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock as system_clock
from devicehub.core.errors import InvalidDateRange
from devicehub.reports import service as reports
from devicehub.reports.rendering import json
from tests.analytics.conftest import Write
from tests.factories import Account, log_in, make_account, make_device
from tests.jobs.inline import run_due_jobs

# In the middle of what is written, Berlin puts its clocks forward, or back.
MOMENTS = ["2027-03-31T10:00:00", "2027-11-03T10:00:00"]
Json = Any


@pytest.fixture
def now_in_berlin(
    client: FlaskClient, account: Account, clock: Callable[[float], None]
) -> Callable[[str], dict[str, str]]:
    """Let it be some moment, in an organization of Berlin; gives the headers of a token that is good then."""

    def moved(text: str) -> dict[str, str]:
        at = datetime.fromisoformat(text).replace(tzinfo=UTC)
        clock((at - system_clock.now()).total_seconds())
        headers = log_in(account.email).headers | {"Cache-Control": "no-cache"}
        path = f"/api/organizations/{account.actor.organization_id}"
        assert client.patch(path, json={"timezone": "Europe/Berlin"}, headers=headers).status_code == 200
        run_due_jobs("logs.keep_zone")
        return headers

    return moved


def chart(report: Json, chart_id: str) -> Json:
    return next(one for one in report["charts"] if one["id"] == chart_id)


def table(report: Json, table_id: str) -> Json:
    return next(one["rows"] for one in report["tables"] if one["id"] == table_id)


def change(report: Json, figure: str) -> Json:
    [row] = [row for row in table(report, "summary") if row["figure"] == figure]
    return {
        "current": row["value"],
        "previous": row["previous"],
        "change": row["change"],
        "changePercent": row["changePercent"],
    }


@pytest.mark.actor()
@pytest.mark.parametrize("moment", MOMENTS)
def test_all_of_a_fleet_is_what_dashboard_and_trends_tell(
    client: FlaskClient, account: Account, write: Write, now_in_berlin: Any, moment: str
) -> None:
    headers, draw = now_in_berlin(moment), random.Random(moment)
    write(120, seed=len(moment))
    for _ in range(5):
        span = f"range={draw.choice([1, 2, 5, 7])}d"
        if draw.random() < 0.5:
            ends = sorted(system_clock.now() - timedelta(seconds=draw.randrange(9 * 86_400)) for _ in range(2))
            span = f"from={system_clock.rfc3339(ends[0])}&to={system_clock.rfc3339(ends[1])}"
        found = client.get(f"/api/reports/usage?{span}", headers=headers).json
        dashboard = client.get(f"/api/analytics/dashboard?{span}&interval=day", headers=headers).json
        trends = client.get(f"/api/analytics/trends?{span}&interval=day", headers=headers).json
        assert found["range"] == dashboard["summary"]["range"]
        days = table(found, "days")
        assert days == dashboard["usageTrend"]
        by_day = chart(found, "usage-by-day")
        assert by_day["series"][0]["data"] == [day["usage"] for day in days]
        assert len(by_day["labels"]) == len(set(by_day["labels"])) == len(days)
        assert table(found, "events") == dashboard["eventDistribution"]
        ranked = [{**row, "rank": rank} for rank, row in enumerate(dashboard["deviceBreakdown"], 1)]
        assert table(found, "devices") == ranked
        assert chart(found, "most-used")["series"][0]["data"] == [row["usage"] for row in ranked]
        types = chart(found, "device-types")
        assert dict(zip(types["labels"], types["series"][0]["data"], strict=True)) == {
            one["type"]: one["count"] for one in dashboard["deviceTypes"]
        }
        summary = dashboard["summary"]
        assert change(found, "Usage") == trends["usage"] and change(found, "Logs") == trends["logs"]
        assert change(found, "Usage")["current"] == summary["totalUsage"]
        for figure, name in (("Devices", "total"), ("Active devices", "active"), ("Devices online", "online")):
            assert change(found, figure)["current"] == summary[f"{name}Devices"]


@pytest.mark.actor()
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("event", [None, "door"])
def test_of_some_devices_and_events_it_is_what_comparison_and_usage_tell(
    client: FlaskClient, write: Write, fleet: list[Any], now_in_berlin: Any, moment: str, event: str | None
) -> None:
    headers = now_in_berlin(moment)
    write(120, seed=len(moment) + 1)
    wanted = [device["id"] for device in fleet[:2]]
    span = f"devices={','.join(wanted)}&range=7d{f'&event={event}' if event else ''}"
    found = client.get(f"/api/reports/usage?{span}", headers=headers).json
    compared = client.get(f"/api/analytics/comparison?{span}", headers=headers).json
    rows = table(found, "devices")
    assert [row["deviceId"] for row in rows] == [one["deviceId"] for one in compared["devices"]]
    for row, one in zip(rows, compared["devices"], strict=True):
        assert (row["usage"], row["average"]) == (one["totalUsage"], one["averageUsage"])
        assert (row["share"], row["rank"]) == (one["share"], one["rank"])
        assert event is not None or row["logCount"] == one["logCount"]
    assert change(found, "Usage")["current"] == compared["totalUsage"]
    assert change(found, "Devices")["current"] == 2
    told = [
        client.get(f"/api/devices/{one}/usage?{span.partition('&')[2]}", headers=headers).json for one in wanted
    ]
    by_day = [sum(day) for day in zip(*([b["usage"] for b in one["trend"]] for one in told), strict=True)]
    assert chart(found, "usage-by-day")["series"][0]["data"] == pytest.approx(by_day, abs=2e-6)
    if event is not None:
        assert [row["event"] for row in table(found, "events")] == [event]
        assert change(found, "Logs")["current"] == sum(one["summary"]["logCount"] for one in told)


@pytest.mark.actor()
def test_all_devices_by_name_are_all_devices(account: Account, write: Write, fleet: list[Any]) -> None:
    """Filtered by what leaves nothing out, which is counted in another way, it comes to the same."""
    write(150, seed=9)
    end = system_clock.now()
    how: dict[str, Any] = {"start": end - timedelta(days=9, hours=5), "end": end}
    events = ["units_consumed", "on", "a.b", "door"]
    plain = json.whole(reports.usage_report(account.actor, **how, device_ids=[], event_types=[]))
    named = [device["id"] for device in fleet]
    of_devices = json.whole(reports.usage_report(account.actor, **how, device_ids=named, event_types=[]))
    of_events = json.whole(reports.usage_report(account.actor, **how, device_ids=[], event_types=events + events))
    assert table(of_devices, "days") == table(plain, "days")
    assert table(of_devices, "devices") == table(plain, "devices")
    assert table(of_devices, "summary") == table(plain, "summary")
    assert table(of_events, "events") == table(plain, "events")
    counts = {row["deviceId"]: row["logCount"] for row in table(plain, "devices")}
    assert {row["deviceId"]: row["logCount"] for row in table(of_events, "devices")} == counts
    whole = sum(row["total"] for row in table(plain, "events"))
    assert change(of_events, "Usage")["current"] == pytest.approx(whole, abs=1e-5)


@pytest.mark.actor()
def test_devices_of_others_and_those_that_are_no_more_are_left_out(
    account: Account, write: Write, fleet: list[Any]
) -> None:
    write(20, seed=3)
    other = make_device(make_account().actor)["id"]
    end = system_clock.now()
    found = reports.usage_report(
        account.actor, start=end - timedelta(days=30), end=end, device_ids=[other, "0" * 24, "x"], event_types=[]
    )
    assert found.main.count == 0 and list(found.main.rows()) == []
    assert change(json.whole(found), "Logs")["current"] == 0


@pytest.mark.actor()
def test_a_range_of_which_nothing_is_kept_is_refused(account: Account) -> None:
    end = system_clock.now() - timedelta(days=200)
    with pytest.raises(InvalidDateRange):
        reports.usage_report(account.actor, start=end - timedelta(days=1), end=end, device_ids=[], event_types=[])


@pytest.mark.actor()
def test_rows_can_be_asked_for_again(account: Account, write: Write, fleet: list[Any]) -> None:
    write(5, seed=1)
    end = system_clock.now()
    found = reports.usage_report(
        account.actor, start=end - timedelta(days=30), end=end, device_ids=[], event_types=[]
    )
    assert list(found.main.rows()) == list(found.main.rows())
    assert found.main.count == len(list(found.main.rows())) == 3


@pytest.mark.actor()
def test_of_a_long_range_the_chart_tells_seven_days_a_point(
    client: FlaskClient, account: Account, write: Write
) -> None:
    client.patch(f"/api/organizations/{account.actor.organization_id}", json={"logRetentionDays": 400})
    write(60, seed=3)
    now = system_clock.now()
    ends = system_clock.rfc3339(now - timedelta(days=300)), system_clock.rfc3339(now)
    found = client.get(f"/api/reports/usage?from={ends[0]}&to={ends[1]}").json
    by_seven, days = chart(found, "usage-by-day"), table(found, "days")
    assert len(by_seven["labels"]) == 43
    assert sum(by_seven["series"][0]["data"]) == pytest.approx(sum(day["usage"] for day in days))
    assert by_seven["series"][0]["data"][-2] == pytest.approx(sum(day["usage"] for day in days[287:294]))
    assert all(len(one["labels"]) <= 100 for one in found["charts"])
