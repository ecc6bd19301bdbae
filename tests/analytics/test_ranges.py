"""Ranges and the calendar they are told in, whatever a zone's clocks do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicehub.analytics import ranges
from devicehub.core import calendar, clock
from devicehub.core.calendar import Ago
from devicehub.core.errors import InvalidDateRange

NOON = datetime(2026, 6, 10, 12, 34, 56, 789_000, UTC)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(sorted(clock.timezones()))
INTERVALS = st.sampled_from(["hour", "day", "week", "month"])


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


def test_hours_are_the_running_one_and_those_before_it() -> None:
    found = ranges.resolve({"range": Ago(24, "hour")}, timezone="UTC", now=NOON)
    assert (found.start, found.end) == (utc(2026, 6, 9, 13), utc(2026, 6, 10, 13))
    assert (found.interval, len(found.buckets)) == ("hour", 24)


def test_days_are_today_and_those_before_it_in_the_zone() -> None:
    found = ranges.resolve({"range": Ago(7, "day")}, timezone="Asia/Kathmandu", now=NOON)
    assert (found.start, found.end) == (utc(2026, 6, 3, 18, 15), utc(2026, 6, 10, 18, 15))
    assert (found.interval, len(found.buckets)) == ("day", 7)


def test_a_day_has_as_many_hours_as_its_clocks_go_through() -> None:
    asked = {"range": Ago(1, "day"), "interval": "hour", "timezone": "Europe/Berlin"}
    for day, hours in ((29, 23), (30, 24)):
        assert len(ranges.resolve(asked, timezone="UTC", now=utc(2026, 3, day, 12)).buckets) == hours
    assert len(ranges.resolve(asked, timezone="UTC", now=utc(2026, 10, 25, 12)).buckets) == 25


def test_a_day_without_a_midnight_begins_when_the_clock_was_put_forward() -> None:
    zone = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at 01:00
    assert calendar.floor(utc(2026, 4, 24, 12), "day", zone) == utc(2026, 4, 23, 22)


def test_a_day_that_a_zone_left_out_has_no_bucket() -> None:
    days = [*calendar.starts(utc(2011, 12, 28), utc(2012, 1, 2), "day", ZoneInfo("Pacific/Apia"))]
    assert [day.astimezone(ZoneInfo("Pacific/Apia")).day for day in days] == [27, 28, 29, 31, 1, 2]


def test_where_clocks_shift_by_half_an_hour_one_hour_is_a_short_one() -> None:
    hours = [*calendar.starts(utc(2026, 4, 4, 14), utc(2026, 4, 4, 17), "hour", ZoneInfo("Australia/Lord_Howe"))]
    assert hours == [utc(2026, 4, 4, 14), utc(2026, 4, 4, 15), utc(2026, 4, 4, 15, 30), utc(2026, 4, 4, 16, 30)]


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    asked = {"from": utc(2026, 1, 30, 5), "to": utc(2026, 3, 2), "timezone": "UTC"}
    months = ranges.resolve(asked | {"interval": "month"}, timezone="UTC", now=NOON).buckets
    assert months == [utc(2026, 1, 1), utc(2026, 2, 1), utc(2026, 3, 1)]
    weeks = ranges.resolve(asked | {"interval": "week"}, timezone="UTC", now=NOON).buckets
    assert weeks[0] == utc(2026, 1, 26) and all(week.weekday() == 0 for week in weeks)


@settings(max_examples=200, deadline=None)
@given(moment=MOMENTS, name=ZONES, interval=INTERVALS)
def test_buckets_follow_one_another_without_a_gap_and_begin_on_a_quarter(
    moment: datetime, name: str, interval: calendar.Interval
) -> None:
    zone = ZoneInfo(name)
    end = moment + timedelta(days=2)
    found = [*calendar.starts(moment, end, interval, zone)]
    assert found[0] <= moment < calendar.after(found[0], interval, zone)
    assert [calendar.after(one, interval, zone) for one, _ in pairwise(found)] == found[1:]
    assert all(one.minute % 15 == one.second == one.microsecond == 0 for one in found)
    for one in found:  # whatever lies in it is told to lie in it
        middle = one + (calendar.after(one, interval, zone) - one) / 2
        assert calendar.floor(one, interval, zone) == calendar.floor(middle, interval, zone) == one


def test_the_range_before_is_as_long_by_the_calendar_and_ends_where_the_other_begins() -> None:
    asked = {"range": Ago(7, "day"), "timezone": "Europe/Berlin"}
    later = ranges.resolve(asked, timezone="UTC", now=utc(2026, 3, 31, 12))
    earlier = ranges.before(later)
    assert later.end - later.start == timedelta(days=7, hours=-1)
    assert earlier.end == later.start
    assert earlier.end - earlier.start == timedelta(days=7)


@pytest.mark.parametrize(
    "asked",
    [
        {"from": NOON},
        {"to": NOON},
        {"from": NOON, "to": NOON},
        {"from": NOON, "to": NOON - timedelta(days=1)},
        {"from": NOON, "to": NOON + timedelta(days=401)},
        {"from": NOON, "to": NOON + timedelta(days=200), "interval": "hour"},
    ],
)
def test_what_is_no_range_is_refused(asked: dict[str, datetime]) -> None:
    with pytest.raises(InvalidDateRange):
        ranges.resolve(asked, timezone="UTC", now=NOON)
