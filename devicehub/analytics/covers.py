"""What a range is put together from, so that as little as possible is read.

Whole days come from day documents of the zone, where its days are counted, or else of UTC; what is left at either
end from hour documents; and what is left of an hour from the logs themselves. What takes long are the devices, of
which each document of a day or an hour has many. So theirs come from weeks, too, and where most of a week or a day
is wanted, from all of it less the rest.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from devicehub.core import calendar
from devicehub.core.calendar import HOUR
from devicehub.logs import rollups

# As many hours have as many devices as a day, more or less: in one of them few have logged.
HOURS_LIKE_A_DAY = 2

Span = tuple[datetime, datetime]
# When the documents begin whose devices are added (1) or taken off again (-1).
Signs = dict[datetime, int]


class Cover(NamedTuple):
    """Whole days of a zone, whole hours, and the instants that are left."""

    zone: str
    days: Span | None
    hours: list[Span]
    rest: list[Span]


class Devices(NamedTuple):
    """What the devices of a cover's days and hours come from."""

    weeks: Signs
    days: Signs
    hours: Signs


def cover(start: datetime, end: datetime, zone: str) -> Cover:
    """What `start` to `end` is put together from, where the days of `zone` are counted."""
    first, last = _ceil_day(start, zone), calendar.floor(end, "day", ZoneInfo(zone))
    if first >= last:
        hours, rest = _hours(start, end)
        return Cover(zone, None, hours, rest)
    before, after = _hours(start, first), _hours(last, end)
    return Cover(zone, (first, last), before[0] + after[0], before[1] + after[1])


def _ceil_day(moment: datetime, zone: str) -> datetime:
    start = calendar.floor(moment, "day", ZoneInfo(zone))
    return start if start == moment else calendar.after(start, "day", ZoneInfo(zone))


def _hours(start: datetime, end: datetime) -> tuple[list[Span], list[Span]]:
    """The whole hours of UTC between two instants, and what is left."""
    first, last = floor(start, HOUR), floor(end, HOUR)
    first += HOUR if first < start else timedelta()
    if first >= last:
        return [], [(start, end)] if start < end else []
    return [(first, last)], [span for span in ((start, first), (last, end)) if span[0] < span[1]]


def floor(moment: datetime, unit: timedelta) -> datetime:
    """When the quarter, hour or day of UTC begins that a moment lies in."""
    return moment - (moment - datetime.min.replace(tzinfo=moment.tzinfo)) % unit


def devices(covered: Cover, now: datetime) -> Devices:
    """The fewest documents to take devices from; of what begins after `now`, hardly any are there."""
    zone = ZoneInfo(covered.zone)
    hours = {hour for span in covered.hours for hour in _steps(*span)}
    days = set() if covered.days is None else {*calendar.starts(*covered.days, "day", zone)}
    of_hours: Signs = {}
    for day in {calendar.floor(hour, "day", zone) for hour in hours}:
        whole = {*_hours_of(day, zone)}
        wanted, others = whole & hours, whole - hours
        if HOURS_LIKE_A_DAY + _there(others, now) < _there(wanted, now):
            days.add(day)
            of_hours |= dict.fromkeys(others, -1)
            hours -= wanted
    of_hours |= dict.fromkeys(hours, 1)
    weeks, of_days = Signs(), Signs()
    for week in {rollups.week_of(day, covered.zone) for day in days}:
        whole = {*calendar.starts(week, calendar.after(week, "week", zone), "day", zone)}
        wanted, others = whole & days, whole - days
        if 1 + _there(others, now) < _there(wanted, now):
            weeks[week] = 1
            of_days |= dict.fromkeys(others, -1)
        else:
            of_days |= dict.fromkeys(wanted, 1)
    return Devices(weeks, of_days, of_hours)


def _there(starts: Iterable[datetime], now: datetime) -> int:
    return sum(start <= now for start in starts)


def _hours_of(day: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The hours of UTC that a day is made of; none if it does not begin and end with one."""
    end = calendar.after(day, "day", zone)
    if floor(day, HOUR) == day and floor(end, HOUR) == end:
        yield from _steps(day, end)


def _steps(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += HOUR
