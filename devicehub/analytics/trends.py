"""Trends: a range beside the one before it, who moved most, and what may come next."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from devicehub.analytics import ranges, reading
from devicehub.analytics.ranges import Range
from devicehub.analytics.reading import Counted
from devicehub.core import calendar, clock
from devicehub.core.actor import Actor
from devicehub.logs.models import USAGE
from devicehub.logs.rollups import Tally

METHOD = "linear trend with weekday profile"
LEAST_DAYS = 4  # of which a line says anything
WEEKS_OF_PROFILE = 2
MOST_MOVERS = 10

Row = dict[str, Any]
Movement = tuple[str, float, float]


def before(range_: Range, now: datetime) -> Range:
    """What a range is compared with: as long as it, and of a range that still runs as far as that has come."""
    earlier = ranges.before(range_)
    if range_.end <= now:
        return earlier
    end = min(earlier.end, max(earlier.start + (now - range_.start), earlier.start + timedelta(seconds=1)))
    return Range(earlier.start, end, earlier.interval, earlier.timezone)


def change(current: float, previous: float | None) -> Row:
    """A number beside what it was; without one there is nothing to compare."""
    if previous is None:
        return {"current": round(current, 6), "previous": None, "change": None, "changePercent": None}
    moved = current - previous
    percent = round(100 * moved / abs(previous), 2) if previous else None
    return {
        "current": round(current, 6),
        "previous": round(previous, 6),
        "change": round(moved, 6),
        "changePercent": percent,
    }


def movers(current: Counted, previous: Counted | None) -> list[Movement]:
    """The devices whose usage changed most, up or down: which, what it was and what it is."""
    if previous is None:
        return []
    known = {*current.devices, *previous.devices}
    found = [(one, previous.devices.get(one, Tally()).sum, current.devices.get(one, Tally()).sum) for one in known]
    moved = [each for each in found if abs(each[2] - each[1]) > 1e-9]
    return sorted(moved, key=lambda each: (-abs(each[2] - each[1]), each[0]))


def forecast(actor: Actor, range_: Range, *, zones: Sequence[str], oldest: datetime) -> Row | None:
    """What the range after this one may use, day by day; None when too few whole days are known.

    A line through the whole days of the range and of the one before it (least squares), times how much of it each
    weekday usually has where there are two weeks of them; never less than nothing.
    """
    days = Range(max(ranges.before(range_).start, oldest), range_.end, "day", range_.timezone)
    used = reading.of_organization(actor, days, zones=zones).trend
    now = clock.now()
    known = [
        (start, tally.sum)
        for start, tally in zip(days.buckets, used, strict=True)
        if start >= days.start and calendar.after(start, "day", days.zone) <= min(now, days.end)
    ]
    if len(known) < LEAST_DAYS:
        return None
    profile = _profile(known, days)
    slope, base = _line([amount / profile[start.astimezone(days.zone).weekday()] for start, amount in known])
    after = ranges.after(range_)
    coming = [start for start in calendar.starts(after.start, after.end, "day", days.zone) if start >= after.start]
    first = known[0][0].astimezone(days.zone).date()
    dates = [start.astimezone(days.zone).date() for start in coming]
    expected = [max(0.0, (base + slope * (day - first).days) * profile[day.weekday()]) for day in dates]
    buckets = [
        {"timestamp": clock.rfc3339(start), "usage": round(amount, 6)}
        for start, amount in zip(coming, expected, strict=True)
    ]
    return {
        "method": METHOD,
        "basedOnDays": len(known),
        "expectedUsage": round(sum(expected), 6),
        "buckets": buckets,
    }


def _profile(known: Sequence[tuple[datetime, float]], days: Range) -> Mapping[int, float]:
    """How much each weekday has of an average day; 1 of each where too little is known."""
    even = dict.fromkeys(range(7), 1.0)
    mean = sum(amount for _, amount in known) / len(known)
    if len(known) < 7 * WEEKS_OF_PROFILE or mean <= 0:
        return even
    by_day: dict[int, list[float]] = {}
    for start, amount in known:
        by_day.setdefault(start.astimezone(days.zone).weekday(), []).append(amount)
    shares = {weekday: sum(amounts) / len(amounts) / mean for weekday, amounts in by_day.items()}
    return even | {weekday: share for weekday, share in shares.items() if share > 0}


def _line(amounts: Sequence[float]) -> tuple[float, float]:
    """Slope and base of the line through amounts at 0, 1, 2, ... by least squares."""
    number = len(amounts)
    middle, mean = (number - 1) / 2, sum(amounts) / number
    spread = sum((index - middle) ** 2 for index in range(number))
    slope = sum((index - middle) * (amount - mean) for index, amount in enumerate(amounts)) / spread
    return slope, mean - slope * middle


def usage_of(counted: Counted) -> float:
    """All that was used in what was counted."""
    return counted.events.get(USAGE, Tally()).sum
