"""The usage report: what a fleet, or a part of it, logged and used in a range, beside the range before it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devicehub.analytics import figures, trends
from devicehub.analytics import service as analytics
from devicehub.analytics.figures import Fleet
from devicehub.analytics.ranges import Range
from devicehub.analytics.reading import Counted
from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.reports import counting
from devicehub.reports.report import Cell, Chart, Column, Report, Row, Series, Table

MOST_IN_A_CHART = 100

_SUMMARY = (
    Column("figure", "Figure"),
    Column("value", "Value", "number"),
    Column("previous", "Period before", "number"),
    Column("change", "Change", "number"),
    Column("changePercent", "Change in %", "number"),
)
_DAYS = (
    Column("timestamp", "Day", "time"),
    Column("usage", "Usage", "number"),
    Column("average", "Average", "number"),
    Column("logCount", "Logs", "number"),
)
_EVENTS = (
    Column("event", "Event"),
    Column("count", "Logs", "number"),
    Column("share", "Share in %", "number"),
    Column("total", "Sum of values", "number"),
    Column("average", "Average", "number"),
)
_DEVICES = (
    Column("rank", "Rank", "number"),
    Column("deviceId", "Device id", printed=False),
    Column("deviceName", "Device"),
    Column("deviceType", "Type"),
    Column("usage", "Usage", "number"),
    Column("average", "Average", "number"),
    Column("logCount", "Logs", "number"),
    Column("share", "Share in %", "number"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """All that a usage report is made of; `previous` is None where nothing is kept of the range before."""

    actor: Actor
    range: Range
    oldest: datetime
    event_types: Collection[str]
    fleet: Fleet
    current: Counted
    previous: Counted | None

    @property
    def used(self) -> float:
        return counting.used(self.current, self.event_types)


def find(
    actor: Actor, query: Mapping[str, Any], *, device_ids: Sequence[str], event_types: Collection[str]
) -> Found:
    """Count what the report tells; raises InvalidDateRange."""
    range_, oldest = analytics.range_of(actor, {**query, "interval": "day"})
    event_types = tuple(dict.fromkeys(event_types))
    filters: dict[str, Any] = {"device_ids": device_ids, "event_types": event_types}
    before = trends.before(range_, clock.now())
    return Found(
        actor,
        range_,
        oldest,
        event_types,
        figures.fleet(actor, {"_id": {"$in": [ids.parse(one) for one in device_ids]}} if device_ids else None),
        counting.count(actor, range_, **filters),
        counting.count(actor, before, **filters) if before.start >= oldest else None,
    )


def report(found: Found) -> Report:
    """What was found, as a report."""
    return Report(
        "Usage report",
        clock.now(),
        found.range.timezone,
        analytics.described(found.range, found.oldest),
        [_by_day(found), _by_event(found), _by_type(found), _by_device(found)],
        [_summary(found), _days(found), _events(found), _devices(found)],
    )


def _by_day(found: Found) -> Chart:
    """Of a range that is longer than a chart is wide, seven days a point."""
    starts = found.range.buckets
    step, title = (1, "Usage by day") if len(starts) <= MOST_IN_A_CHART else (7, "Usage by seven days")
    labels = [start.astimezone(found.range.zone).date().isoformat() for start in starts[::step]]
    series = [Series("Usage", _sums(found.current, step))]
    if found.previous is not None:
        padded = [*_sums(found.previous, step), *[None] * len(labels)][: len(labels)]
        series.append(Series("Period before", padded))  # a range that still runs is ahead of it
    return Chart("usage-by-day", "line", title, labels, series)


def _sums(counted: Counted, step: int) -> list[float | None]:
    used = [tally.sum for tally in counted.trend]
    return [figures.rounded(sum(used[first : first + step])) for first in range(0, len(used), step)]


def _by_event(found: Found) -> Chart:
    rows = figures.events(found.current.events, found.current.count)
    counts = Series("Logs", [row["count"] for row in rows])
    return Chart("logs-by-event", "bar", "Logs by event", [row["event"] for row in rows], [counts])


def _by_type(found: Found) -> Chart:
    rows = figures.types(found.fleet)[:MOST_IN_A_CHART]
    counts = Series("Devices", [row["count"] for row in rows])
    return Chart("device-types", "pie", "Devices by type", [row["type"] for row in rows], [counts])


def _by_device(found: Found) -> Chart:
    rows = figures.breakdown(found.actor, found.current.devices, found.used)
    usage = Series("Usage", [row["usage"] for row in rows])
    return Chart("most-used", "bar", "Devices that used most", [row["deviceName"] for row in rows], [usage])


def _summary(found: Found) -> Table:
    fleet, previous = found.fleet, found.previous
    used_before = None if previous is None else counting.used(previous, found.event_types)
    logged = len(found.current.devices), None if previous is None else len(previous.devices)
    rows: list[Row] = [
        _change("Usage", found.used, used_before),
        _change("Logs", found.current.count, None if previous is None else previous.count),
        _change("Devices that logged", *logged),
        ("Devices", fleet.total(), None, None, None),
        ("Active devices", figures.count_status(fleet, "active"), None, None, None),
        ("Devices online", figures.count_presence(fleet, "online"), None, None, None),
    ]
    return Table("summary", "Summary", _SUMMARY, lambda: iter(rows), len(rows))


def _change(figure: str, current: float, previous: float | None) -> Row:
    told = trends.change(current, previous)
    return figure, told["current"], told["previous"], told["change"], told["changePercent"]


def _days(found: Found) -> Table:
    tallies = list(zip(found.range.buckets, figures.trend(found.range, found.current.trend), strict=True))
    rows: list[Row] = [(start, *_cells(told, _DAYS[1:])) for start, told in tallies]
    return Table("days", "Days", _DAYS, lambda: iter(rows), len(rows))


def _events(found: Found) -> Table:
    rows = [_cells(row, _EVENTS) for row in figures.events(found.current.events, found.current.count)]
    return Table("events", "Events", _EVENTS, lambda: iter(rows), len(rows))


def _devices(found: Found) -> Table:
    def rows() -> Iterator[Row]:
        ranking = figures.ranking(found.actor, found.current.devices, found.used)
        for rank, row in enumerate(ranking, 1):
            yield _cells({**row, "rank": rank}, _DEVICES)

    there = figures.count_there(found.actor, list(found.current.devices))
    return Table("devices", "Devices", _DEVICES, rows, there)


def _cells(row: Mapping[str, Cell], columns: Sequence[Column]) -> Row:
    return tuple(row[column.name] for column in columns)
