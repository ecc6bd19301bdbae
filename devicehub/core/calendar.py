"""The calendar of a zone: where its hours, days, weeks and months begin, as instants.

An hour is one of the wall clock: where a zone shifts by half an hour, one hour of that night is a short one.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

Interval = Literal["hour", "day", "week", "month"]


class Ago(NamedTuple):
    """So many hours or days up to now, of which the last is the running one."""

    number: int
    unit: Literal["hour", "day"]


HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


def floor(moment: datetime, interval: Interval, zone: ZoneInfo) -> datetime:
    """When the hour, day, week or month that `moment` lies in began."""
    if interval == "hour":
        return _hour_of(moment, zone)
    return midnight(_first_day(moment.astimezone(zone).date(), interval), zone)


def after(start: datetime, interval: Interval, zone: ZoneInfo) -> datetime:
    """When the one that began at `start` ends."""
    if interval == "hour":
        return start + HOUR - _into_hour(start, zone)
    day = start.astimezone(zone).date()
    while True:
        day = _next_first(day, interval)
        if (end := midnight(day, zone)) > start:  # a zone that crossed the date line has left out a day
            return end


def starts(start: datetime, end: datetime, interval: Interval, zone: ZoneInfo) -> Iterator[datetime]:
    """When each begins that has a part in `start` to `end`; the first may begin before `start`."""
    moment = floor(start, interval, zone)
    while moment < end:
        yield moment
        moment = after(moment, interval, zone)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When `day` begins; where there is no midnight on it, when the clock was put forward over it."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _into_hour(moment: datetime, zone: ZoneInfo) -> timedelta:
    local = moment.astimezone(zone)
    return timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)


def _hour_of(moment: datetime, zone: ZoneInfo) -> datetime:
    start = moment - _into_hour(moment, zone)
    offset = moment.astimezone(zone).utcoffset()
    while start < moment and start.astimezone(zone).utcoffset() != offset:
        start += QUARTER - (start - datetime.min.replace(tzinfo=UTC)) % QUARTER
    return min(start, moment)


def _first_day(day: date, interval: Interval) -> date:
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def _next_first(day: date, interval: Interval) -> date:
    if interval == "month":
        return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if interval == "week" else 1)
