"""Reading what was counted: any range, in any zone, from as few documents as cover it.

Whole days come from day documents of the zone, where its days are counted, or else of UTC; what is left at either
end from hour documents; and what is left of an hour from the logs themselves. So a range may begin and end at any
instant, and comes to what its logs would.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bson import ObjectId

from devicehub.analytics.ranges import Range
from devicehub.core import calendar
from devicehub.core.actor import Actor
from devicehub.core.calendar import HOUR, QUARTER
from devicehub.core.documents import seen_by
from devicehub.logs import rollups
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Log, Zone
from devicehub.logs.rollups import Tally

DAY = timedelta(days=1)
Row = dict[str, Any]
Span = tuple[datetime, datetime]


class Cover(NamedTuple):
    """What a range is put together from: whole days of a zone, whole hours, and the instants that are left."""

    zone: str
    days: Span | None
    hours: list[Span]
    rest: list[Span]


@dataclass
class Counted:
    """All logs (`count`) of a range; the usage in each of its buckets, of each event, and of each device."""

    count: int = 0
    trend: list[Tally] = field(default_factory=list)
    events: dict[str, Tally] = field(default_factory=dict)
    devices: dict[str, Tally] = field(default_factory=dict)


def zones_of(organization_id: str) -> tuple[str, ...]:
    """The zones in which an organization's days are counted."""
    row = Zone._get_collection().find_one({"_id": ObjectId(organization_id), "ready": True})
    return ("UTC",) if row is None else ("UTC", row["zone"])


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
    first, last = _floor(start, HOUR), _floor(end, HOUR)
    first += HOUR if first < start else timedelta()
    if first >= last:
        return [], [(start, end)] if start < end else []
    return [(first, last)], [span for span in ((start, first), (last, end)) if span[0] < span[1]]


def _floor(moment: datetime, unit: timedelta) -> datetime:
    return moment - (moment - datetime.min.replace(tzinfo=moment.tzinfo)) % unit


def of_organization(actor: Actor, range_: Range, *, zones: Collection[str], parts: bool = True) -> Counted:
    """What an organization logged in a range; without `parts` no events and devices, and no trend."""
    covered = cover(range_.start, range_.end, range_.timezone if range_.timezone in zones else "UTC")
    found = Counted(trend=[Tally() for _ in range_.buckets])
    days_tell_trend = range_.timezone == covered.zone and range_.interval != "hour"
    for row in _days(actor, covered, parts=parts):
        _add(found, row)
        if days_tell_trend and row["part"] == "all":
            _bucket(found, range_, row["at"], row.get("c", 0), row.get("e", {}).get(USAGE, {}))
    for row in _hour_rows(actor, covered.hours, parts=parts):
        _add(found, row)
        _add_quarters(found, range_, row, (range_.start, range_.end))
    if covered.days and not days_tell_trend and parts:
        first, last = covered.days  # which may begin within an hour of UTC
        for row in _hour_rows(actor, [(_floor(first, HOUR), last)], parts=False):
            _add_quarters(found, range_, row, (first, last))
    for span in covered.rest:
        for row in _logs(actor, span):
            _add_log(found, range_, row)
    return found


def _days(actor: Actor, covered: Cover, *, parts: bool) -> Iterator[Row]:
    if covered.days is None:
        return
    chosen: Row = {"zone": covered.zone, "at": {"$gte": covered.days[0], "$lt": covered.days[1]}}
    yield from _chosen(Day, actor, chosen, parts=parts)


def _hour_rows(actor: Actor, spans: list[Span], *, parts: bool) -> Iterator[Row]:
    for start, end in spans:
        yield from _chosen(Hour, actor, {"at": {"$gte": start, "$lt": end}}, parts=parts)


def _chosen(document: Any, actor: Actor, chosen: Row, *, parts: bool) -> Iterator[Row]:
    """Rows as they are stored, past MongoEngine: there may be thousands of them."""
    wanted = {**seen_by(actor, document), **chosen}
    if parts:
        yield from document._get_collection().find(wanted, {"_id": 0})
    else:
        yield from document._get_collection().find({**wanted, "part": "all"}, {"at": 1, "part": 1, "c": 1, "q": 1})


def _logs(actor: Actor, span: Span) -> Iterator[Row]:
    chosen = {**seen_by(actor, Log), "at": {"$gte": span[0], "$lt": span[1]}}
    wanted = {"device_id": 1, "event": 1, "value": 1, "at": 1, "_id": 0}
    yield from Log._get_collection().find(chosen, wanted)


def _add(found: Counted, row: Row) -> None:
    """A document of an hour or a day."""
    found.count += row.get("c", 0)
    for name, stored in row.get("e", {}).items():
        found.events.setdefault(rollups.read(name), Tally()).merge(Tally.of(stored))
    devices = found.devices
    for device_id, stored in row.get("d", {}).items():  # thousands of them
        tally = devices.get(device_id)
        if tally is None:
            devices[device_id] = Tally.of(stored)
            continue
        tally.count += stored["c"]
        if "n" in stored:
            tally.values += stored["n"]
            tally.sum += stored["s"]


def _add_quarters(found: Counted, range_: Range, row: Row, span: Span) -> None:
    for number, stored in row.get("q", {}).items():
        at = row["at"] + int(number) * QUARTER
        if span[0] <= at < span[1]:
            _bucket(found, range_, at, stored["c"], stored)


def _bucket(found: Counted, range_: Range, at: datetime, count: int, usage: Row) -> None:
    tally = found.trend[bisect_right(range_.buckets, at) - 1]
    tally.count += count
    tally.values += usage.get("n", 0)
    tally.sum += usage.get("s", 0.0)


def _add_log(found: Counted, range_: Range, row: Row) -> None:
    value = row.get("value")
    found.count += 1
    found.events.setdefault(row["event"], Tally()).add(value)
    usage = value if row["event"] == USAGE else None
    found.devices.setdefault(str(row["device_id"]), Tally()).add(usage)
    found.trend[bisect_right(range_.buckets, row["at"]) - 1].add(usage)


def of_devices(
    actor: Actor, device_ids: list[ObjectId], range_: Range, *, event: str | None = None
) -> dict[tuple[str, str], list[tuple[datetime, Tally]]]:
    """What devices logged in a range: by device and event, at which moment or quarter of an hour how much."""
    found: dict[tuple[str, str], list[tuple[datetime, Tally]]] = {}
    inner = (_up(range_.start), _floor(range_.end, QUARTER))
    for row in _device_days(actor, device_ids, range_, event):
        parts = found.setdefault((str(row["device_id"]), row["event"]), [])
        for number, stored in row["q"].items():
            at = row["at"] + int(number) * QUARTER
            if inner[0] <= at < inner[1]:
                parts.append((at, Tally.of(stored)))
    for span in _edges(range_, inner):
        for log in _logs_of(actor, device_ids, span, event):
            tally = Tally()
            tally.add(log.get("value"))
            found.setdefault((str(log["device_id"]), log["event"]), []).append((log["at"], tally))
    return {key: parts for key, parts in found.items() if parts}


def _up(moment: datetime) -> datetime:
    start = _floor(moment, QUARTER)
    return start if start == moment else start + QUARTER


def _edges(range_: Range, inner: Span) -> list[Span]:
    if inner[0] >= inner[1]:
        return [(range_.start, range_.end)]
    return [span for span in ((range_.start, inner[0]), (inner[1], range_.end)) if span[0] < span[1]]


def _device_days(actor: Actor, device_ids: list[ObjectId], range_: Range, event: str | None) -> Iterator[Row]:
    chosen: Row = {
        **seen_by(actor, DeviceDay),
        "device_id": {"$in": device_ids},
        "at": {"$gte": _floor(range_.start, DAY), "$lt": range_.end},
    }
    if event is not None:
        chosen["event"] = event
    yield from DeviceDay._get_collection().find(chosen, {"device_id": 1, "event": 1, "at": 1, "q": 1})


def _logs_of(actor: Actor, device_ids: list[ObjectId], span: Span, event: str | None) -> Iterator[Row]:
    chosen: Row = {
        **seen_by(actor, Log),
        "device_id": {"$in": device_ids},
        "at": {"$gte": span[0], "$lt": span[1]},
    }
    if event is not None:
        chosen["event"] = event
    yield from Log._get_collection().find(chosen, {"device_id": 1, "event": 1, "value": 1, "at": 1})


def values_of(actor: Actor, device_id: ObjectId, range_: Range, event: str) -> list[float]:
    """The values of one event of a device, in order of size; read from the logs."""
    rows = _logs_of(actor, [device_id], (range_.start, range_.end), event)
    return sorted(row["value"] for row in rows if "value" in row)
