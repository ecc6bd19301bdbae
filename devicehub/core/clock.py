"""The one clock: UTC, whole milliseconds (what MongoDB keeps), and settable by tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import available_timezones

_shift = timedelta()


def now() -> datetime:
    """This moment in UTC, cut to milliseconds so that a stored time equals the one it was stored from."""
    moment = datetime.now(UTC) + _shift
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def timestamp() -> float:
    """This moment in seconds since the epoch."""
    return now().timestamp()


def rfc3339(moment: datetime) -> str:
    """`moment` as the API writes it: `2026-01-31T12:00:00.000Z` (RFC 3339, UTC, milliseconds)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@cache
def timezones() -> frozenset[str]:
    """Every IANA time zone by its name; where the system has none, from the `tzdata` wheel."""
    return frozenset(available_timezones() - {"localtime", "Factory"})  # what a machine says of itself is no zone


@contextmanager
def moved(by: timedelta) -> Iterator[None]:
    """Run a block (a test) as if it were later, or earlier, by this much."""
    global _shift
    before, _shift = _shift, _shift + by
    try:
        yield
    finally:
        _shift = before
