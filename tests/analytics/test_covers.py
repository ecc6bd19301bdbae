"""Whatever a range is put together from comes to just that range."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from devicehub.analytics import covers
from devicehub.analytics.covers import Devices
from devicehub.core import calendar
from devicehub.core.calendar import QUARTER

ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "America/Havana"]
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.integers(0, 400 * 86_400).map(lambda seconds: FIRST + timedelta(seconds=seconds))
lengths = st.one_of(st.integers(1, 3 * 86_400), st.integers(1, 100 * 86_400)).map(lambda s: timedelta(seconds=s))


def quarters(start: datetime, end: datetime) -> Counter[datetime]:
    return Counter(start + number * QUARTER for number in range((end - start) // QUARTER))


def summed(zone: str, devices: Devices) -> Counter[datetime]:
    """How often each quarter of an hour is counted."""
    found = Counter[datetime]()
    for unit, signs in zip(("week", "day", "hour"), devices, strict=True):
        for start, sign in signs.items():
            of = "UTC" if unit == "hour" else zone
            for quarter in quarters(start, calendar.after(start, unit, ZoneInfo(of))):
                found[quarter] += sign
    return found


@given(start=moments, length=lengths, ago=lengths, zone=st.sampled_from(ZONES))
def test_devices_are_taken_once_from_the_whole_of_it_and_from_nothing_else(
    start: datetime, length: timedelta, ago: timedelta, zone: str
) -> None:
    covered = covers.cover(start, start + length, zone)
    found = summed(zone, covers.devices(covered, start + length - ago))
    spans = [span for span in (covered.days, *covered.hours) if span is not None]
    wanted = sum((quarters(*span) for span in spans), Counter[datetime]())
    assert {quarter: times for quarter, times in found.items() if times} == wanted
    assert sum((end - begun for begun, end in [*spans, *covered.rest]), timedelta()) == length


@given(now=moments, days=st.integers(1, 90), zone=st.sampled_from(ZONES))
def test_of_the_last_days_few_documents_are_read(now: datetime, days: int, zone: str) -> None:
    end = calendar.after(calendar.floor(now, "day", ZoneInfo(zone)), "day", ZoneInfo(zone))
    start = calendar.floor(end - timedelta(days=days), "day", ZoneInfo(zone))
    weeks, of_days, hours = covers.devices(covers.cover(start, end, zone), now)
    assert sum(begun <= now for begun in [*weeks, *of_days, *hours]) <= days / 7 + 8


@given(now=moments)
def test_of_the_last_24_hours_half_a_day_of_hours_is_read_at_most(now: datetime) -> None:
    hour = calendar.floor(now, "hour", ZoneInfo("UTC"))
    covered = covers.cover(hour - timedelta(hours=23), hour + timedelta(hours=1), "UTC")
    weeks, days, hours = covers.devices(covered, now)
    assert sum(begun <= now for begun in [*weeks, *days, *hours]) <= 15
