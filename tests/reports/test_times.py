"""When a report is due: once a day, whatever the clocks do, and of whole days of its zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from devicehub.reports.times import Rhythm

BERLIN = ZoneInfo("Europe/Berlin")


def rhythm(zone: ZoneInfo = BERLIN, **changes: object) -> Rhythm:
    told = {"frequency": "daily", "weekday": "monday", "day": 1, "hour": 6} | changes
    return Rhythm(**told, zone=zone)  # type: ignore[arg-type]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times_between(one: Rhythm, start: str, end: str) -> list[datetime]:
    found, now = [], utc(start)
    while (now := one.following(now)) < utc(end):
        found.append(now)
    return found


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
@pytest.mark.parametrize("hour", range(24))
def test_every_day_of_a_year_has_one_time(zone: str, hour: int) -> None:
    there = ZoneInfo(zone)
    found = times_between(rhythm(there, hour=hour), "2027-01-01T12:20", "2028-01-01T12:20")
    days = [at.astimezone(there).date() for at in found]
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert len(days) == 365


def test_an_hour_that_is_left_out_is_the_one_after() -> None:
    found = times_between(rhythm(hour=2), "2027-03-27T12:00", "2027-03-29T12:00")
    assert [at.astimezone(BERLIN).hour for at in found] == [3, 2]


def test_of_an_hour_that_comes_twice_it_is_the_first() -> None:
    found = times_between(rhythm(hour=2), "2027-10-30T12:00", "2027-11-01T12:00")
    assert found == [utc("2027-10-31T00:00"), utc("2027-11-01T01:00")]


def test_weekly_is_on_its_weekday_and_of_the_seven_days_before() -> None:
    weekly = rhythm(frequency="weekly", weekday="thursday")
    found = times_between(weekly, "2027-01-01T00:00", "2027-02-01T00:00")
    assert {at.strftime("%A") for at in found} == {"Thursday"} and len(found) == 4
    day = weekly.latest(utc("2027-01-07T05:00"))
    assert day == date(2027, 1, 7)
    assert weekly.period(day) == (utc("2026-12-30T23:00"), utc("2027-01-06T23:00"))
    assert weekly.latest(utc("2027-01-07T04:59:59")) == date(2026, 12, 31)


def test_monthly_is_on_its_day_and_of_the_calendar_month_before() -> None:
    monthly = rhythm(frequency="monthly", day=28)
    found = times_between(monthly, "2027-01-01T00:00", "2028-01-01T00:00")
    assert [at.month for at in found] == [*range(1, 13)] and {at.day for at in found} == {28}
    day = monthly.latest(utc("2027-03-01T00:00"))
    assert day == date(2027, 2, 28)
    assert monthly.period(day) == (utc("2026-12-31T23:00"), utc("2027-01-31T23:00"))


def test_daily_is_of_the_day_before_however_long_it_was() -> None:
    start, end = rhythm().period(date(2027, 3, 29))
    assert (start, end - start) == (utc("2027-03-27T23:00"), timedelta(hours=23))


def test_at_its_very_time_it_has_come_and_the_next_one_follows() -> None:
    at = utc("2027-01-07T05:00")
    assert rhythm().latest(at) == date(2027, 1, 7)
    assert rhythm().following(at) == at + timedelta(days=1)
