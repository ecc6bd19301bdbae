"""Where clocks are changed, a day has 23 hours, or 25."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devicehub.analytics import ranges, trends
from devicehub.analytics.ranges import Range
from devicehub.core import calendar
from devicehub.core import clock as system_clock
from devicehub.logs import service as logs
from devicehub.logs.models import USAGE
from tests.factories import Account, make_device


def set_clock(clock: Any, text: str) -> None:
    clock((datetime.fromisoformat(text).replace(tzinfo=UTC) - system_clock.now()).total_seconds())


@pytest.mark.actor()
@pytest.mark.parametrize("today", ["2026-10-28", "2027-03-24", "2027-06-09"])
def test_the_next_of_seven_days_is_seven_days(account: Account, clock: Any, today: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    last = datetime.fromisoformat(today).date()
    set_clock(clock, f"{today}T12:00:00")
    device = make_device(account.actor)
    end = calendar.midnight(last, zone)
    start = calendar.midnight(last - timedelta(days=7), zone)
    many = [
        {
            "event": USAGE,
            "level": "info",
            "value": 10.0,
            "at": calendar.midnight(last - timedelta(days=n), zone) + timedelta(hours=9),
        }
        for n in range(1, 15)
    ]
    logs.add(account.actor, device["id"], many)
    told = trends.forecast(
        account.actor, Range(start, end, "day", "Europe/Berlin"), zones=("UTC",), oldest=start - timedelta(days=40)
    )
    assert len(told["buckets"]) == 7
    assert told["expectedUsage"] == pytest.approx(70)


def test_before_a_range_of_whole_days_come_as_many_whole_days() -> None:
    """In Cairo the clocks go forward at midnight: the day begins at one."""
    zone = ZoneInfo("Africa/Cairo")
    day = next(
        d
        for n in range(90, 140)
        if calendar.midnight(d := (datetime(2027, 1, 1) + timedelta(days=n)).date(), zone).astimezone(zone).hour
        == 1
    )
    later = Range(calendar.midnight(day, zone), calendar.midnight(day + timedelta(days=7), zone), "day", zone.key)
    before = ranges.before(later)
    assert before.start == calendar.midnight(day - timedelta(days=7), zone)
