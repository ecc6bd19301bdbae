"""Ranges: what `24h`, `7d` or two instants mean in a zone, and the buckets they are told in."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from devicehub.core import calendar, clock
from devicehub.core.calendar import Ago, Interval
from devicehub.core.errors import InvalidDateRange

LONGEST = timedelta(days=400)
MOST_BUCKETS = 2500
# Further out a calendar is left behind by the days before and after, or by its zone.
FIRST_YEAR, LAST_YEAR = 1970, 9000
HOURLY_UP_TO = timedelta(hours=49)  # of two days, even of those on which the clocks are put back


@dataclass(frozen=True)
class Range:
    """From `start` until just before `end`, in buckets of a zone's calendar."""

    start: datetime
    end: datetime
    interval: Interval
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @cached_property
    def buckets(self) -> list[datetime]:
        """When each bucket begins; the first may begin before the range does."""
        return list(calendar.starts(self.start, self.end, self.interval, self.zone))

    def place(self, moment: float) -> int:
        """The index of the bucket that a moment, in seconds since the epoch, lies in; there are many to place."""
        return bisect_right(self._edges, moment) - 1

    @cached_property
    def _edges(self) -> list[float]:
        return [start.timestamp() for start in self.buckets]

    @property
    def key(self) -> str:
        """The same for whatever comes to the same range."""
        return f"{clock.rfc3339(self.start)}/{clock.rfc3339(self.end)}/{self.interval}/{self.timezone}"

    def describe(self) -> dict[str, str]:
        """The range as answers tell it."""
        return {
            "from": clock.rfc3339(self.start),
            "to": clock.rfc3339(self.end),
            "interval": self.interval,
            "timezone": self.timezone,
        }


def resolve(asked: Mapping[str, Any], *, timezone: str, now: datetime) -> Range:
    """The range that is asked for by `range`, or by `from` and `to`; raises InvalidDateRange.

    `timezone` is the one to count in when none is asked for.
    """
    timezone = asked.get("timezone", timezone)
    start, end = _between(asked) if "from" in asked or "to" in asked else _ago(asked["range"], timezone, now)
    interval: Interval = asked.get("interval") or ("hour" if end - start <= HOURLY_UP_TO else "day")
    found = Range(start, end, interval, timezone)
    if len(found.buckets) > MOST_BUCKETS:
        raise InvalidDateRange(errors={"interval": [f"These are more than {MOST_BUCKETS} buckets."]})
    return found


def before(later: Range) -> Range:
    """The range as long as `later`, that ends where it begins: in whole days where it is made of whole days."""
    days = _whole_days(later)
    if days is not None:
        start = calendar.midnight(later.start.astimezone(later.zone).date() - days, later.zone)
    else:
        start = later.start - (later.end - later.start)
    return Range(start, later.start, later.interval, later.timezone)


def after(earlier: Range) -> Range:
    """The range as long as `earlier`, that begins where it ends, likewise."""
    days = _whole_days(earlier)
    if days is not None:
        end = calendar.midnight(earlier.end.astimezone(earlier.zone).date() + days, earlier.zone)
    else:
        end = earlier.end + (earlier.end - earlier.start)
    return Range(earlier.end, end, earlier.interval, earlier.timezone)


def _whole_days(range_: Range) -> timedelta | None:
    """The days of the calendar that a range is made of, if it is; where clocks change, not of 24 hours."""
    ends = range_.start, range_.end
    if any(calendar.floor(moment, "day", range_.zone) != moment for moment in ends):
        return None
    first, last = (moment.astimezone(range_.zone).date() for moment in ends)
    return last - first


def _ago(ago: Ago, timezone: str, now: datetime) -> tuple[datetime, datetime]:
    """The hour or day that is running, and those before it."""
    zone = ZoneInfo(timezone)
    start = calendar.floor(now, ago.unit, zone)
    end = calendar.after(start, ago.unit, zone)
    if ago.unit == "hour":
        return calendar.floor(start - (ago.number - 1) * calendar.HOUR, "hour", zone), end
    day = start.astimezone(zone).date() - timedelta(days=ago.number - 1)
    return calendar.midnight(day, zone), end


def _between(asked: Mapping[str, Any]) -> tuple[datetime, datetime]:
    missing = [name for name in ("from", "to") if name not in asked]
    if missing:
        raise InvalidDateRange(errors={missing[0]: ["`from` and `to` go together."]})
    if asked["from"] >= asked["to"]:
        raise InvalidDateRange(errors={"to": ["It does not lie after `from`."]})
    if asked["to"] - asked["from"] > LONGEST:
        raise InvalidDateRange(errors={"to": [f"It lies more than {LONGEST.days} days after `from`."]})
    if far := [name for name in ("from", "to") if not FIRST_YEAR <= asked[name].year <= LAST_YEAR]:
        raise InvalidDateRange(errors={name: [f"Not of the years {FIRST_YEAR} to {LAST_YEAR}."] for name in far})
    return asked["from"], asked["to"]
