"""When a report is due, and of which days it is then: functions of a rhythm, a zone and a moment.

A day has one such time. Where its hour is left out when clocks are put forward, that is the one after; where it
comes twice, the first of the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from devicehub.core import calendar
from devicehub.reports.models import WEEKDAYS

_DAY = timedelta(days=1)
# Of days in a row one at least is the day of a rhythm, whatever it is.
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Daily, weekly on `weekday` or monthly on `day`, at `hour` of a zone."""

    frequency: str
    weekday: str
    day: int
    hour: int
    zone: ZoneInfo

    def latest(self, now: datetime) -> date:
        """The last day of the rhythm whose time has come."""
        return next(day for day in self._days(now, -1) if self._time_of(day) <= now)

    def following(self, now: datetime) -> datetime:
        """When it is time again after `now`."""
        return next(at for day in self._days(now, 1) if (at := self._time_of(day)) > now)

    def period(self, day: date) -> tuple[datetime, datetime]:
        """The days that a report of `day` is of: the one before, the seven before, or the month before."""
        if self.frequency == "monthly":
            end = day.replace(day=1)
            start = (end - _DAY).replace(day=1)
        else:
            start, end = day - _DAY * (7 if self.frequency == "weekly" else 1), day
        return calendar.midnight(start, self.zone), calendar.midnight(end, self.zone)

    def _days(self, now: datetime, step: int) -> Iterator[date]:
        """The days of the rhythm around `now`, and on from there in one direction."""
        around = now.astimezone(self.zone).date() - step * _DAY
        days = (around + number * step * _DAY for number in range(2 * _LONGEST))
        return (day for day in days if self._is_of(day))

    def _is_of(self, day: date) -> bool:
        if self.frequency == "weekly":
            return WEEKDAYS[day.weekday()] == self.weekday
        return self.frequency == "daily" or day.day == self.day

    def _time_of(self, day: date) -> datetime:
        return datetime.combine(day, time(self.hour), self.zone).astimezone(UTC)
