"""Reading what was counted: any range, in any zone, from as few documents as cover it.

Whole days come from day documents of the zone, where its days are counted, or else of UTC; what is left at either
end from hour documents; and what is left of an hour from the logs themselves. So a range may begin and end at any
instant, and comes to what its logs would. What takes long is the devices: of the day that runs they are taken from
its day documents, too, as long as there is nothing yet of after the range.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bson import ObjectId

from devicehub.analytics.ranges import Range
from devicehub.core import calendar, clock
from devicehub.core.actor import Actor
from devicehub.core.calendar import HOUR, QUARTER
from devicehub.core.documents import seen_by
from devicehub.logs import rollups
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Log, Zone
from devicehub.logs.rollups import Tally

DAY = timedelta(days=1)
MOST_AT_ONCE = 10_000  # rows in one answer of MongoDB's, whose first is of 101 otherwise
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


def zones_of(organization_id: str, asked: str) -> tuple[str, ...]:
    """The zones in which an organization's days are counted, as far as whoever asks for `asked` has to know."""
    if asked == "UTC":
        return ("UTC",)
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


def count(actor: Actor, range_: Range) -> int:
    """How many logs of an organization lie in a range: in one question, whatever it is put together from."""
    covered, owner = cover(range_.start, range_.end, "UTC"), seen_by(actor, Hour)
    whole = {**owner, "part": "all"}
    parts: list[tuple[Any, list[Row]]] = []
    if covered.days is not None:
        parts.append((Day, [{"$match": {**whole, "zone": "UTC", "at": _within(covered.days)}}]))
    parts += [(Hour, [{"$match": {**whole, "at": _within(span)}}]) for span in covered.hours]
    parts += [(Log, [{"$match": {**owner, "at": _within(span)}}, {"$count": "c"}]) for span in covered.rest]
    (first, steps), *others = parts
    unions = [
        {"$unionWith": {"coll": document._get_collection_name(), "pipeline": some}} for document, some in others
    ]
    summed = {"$group": {"_id": None, "count": {"$sum": "$c"}}}
    return sum(row["count"] for row in first._get_collection().aggregate([*steps, *unions, summed]))


def of_organization(actor: Actor, range_: Range, *, zones: Collection[str]) -> Counted:
    """What an organization logged in a range."""
    covered = cover(range_.start, range_.end, range_.timezone if range_.timezone in zones else "UTC")
    found = Counted(trend=[Tally() for _ in range_.buckets])
    days_tell_trend = range_.timezone == covered.zone and range_.interval != "hour"
    if covered.days is not None:
        for row in _rows(actor, Day, covered.days, {"zone": covered.zone}):
            _add(found, row)
            if days_tell_trend and row["part"] == "all":
                _bucket(found, range_, row["at"].timestamp(), row.get("c", 0), row.get("e", {}).get(USAGE, {}))
    for row in _hour_rows(actor, covered.hours):
        _add(found, row)
        _add_quarters(found, range_, row, (range_.start, range_.end))
    if covered.days is not None and not days_tell_trend:
        first, last = covered.days  # which may begin within an hour of UTC
        for row in _rows(actor, Hour, (_floor(first, HOUR), last), {"part": "all"}, {"at": 1, "q": 1}):
            _add_quarters(found, range_, row, (first, last))
    for span in covered.rest:
        for row in _logs(actor, span):
            _add_log(found, range_, row)
    return found


def _hour_rows(actor: Actor, spans: list[Span]) -> Iterator[Row]:
    for start, end in spans:
        midnight = _floor(end, DAY)
        if start <= midnight <= clock.now() < end and end - midnight > HOUR:
            yield from _running_day(actor, midnight, end)
            end = midnight
        if start < end:
            yield from _rows(actor, Hour, (start, end))


def _running_day(actor: Actor, midnight: datetime, end: datetime) -> list[Row]:
    """The hours of today until `end`; their devices from the documents of the day, if nothing came after.

    The day is read before what would have come after `end`: so that is not in it.
    """
    day = midnight, midnight + DAY
    devices = _rows(actor, Day, day, {"zone": "UTC", "part": {"$ne": "all"}})
    hours = _rows(actor, Hour, day, {"part": "all"})
    if all(row["at"] < end for row in hours if row.get("c")):
        return devices + hours
    return _rows(actor, Hour, (midnight, end))


def _rows(
    actor: Actor, document: Any, span: Span, chosen: Row | None = None, wanted: Row | None = None
) -> list[Row]:
    """Rows as they are stored, past MongoEngine and in one go: there may be thousands of them."""
    conditions = {**seen_by(actor, document), "at": _within(span), **(chosen or {})}
    return list(document._get_collection().find(conditions, {"_id": 0, **(wanted or {})}, batch_size=MOST_AT_ONCE))


def _within(span: Span) -> Row:
    return {"$gte": span[0], "$lt": span[1]}


def _logs(actor: Actor, span: Span) -> Iterator[Row]:
    chosen = {**seen_by(actor, Log), "at": _within(span)}
    wanted = {"device_id": 1, "event": 1, "value": 1, "at": 1, "_id": 0}
    yield from Log._get_collection().find(chosen, wanted, batch_size=MOST_AT_ONCE)


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
    start, end, hour = span[0].timestamp(), span[1].timestamp(), row["at"].timestamp()
    for number, stored in row.get("q", {}).items():
        at = hour + int(number) * rollups.QUARTER_S
        if start <= at < end:
            _bucket(found, range_, at, stored["c"], stored)


def _bucket(found: Counted, range_: Range, at: float, count: int, usage: Row) -> None:
    tally = found.trend[range_.place(at)]
    tally.count += count
    tally.values += usage.get("n", 0)
    tally.sum += usage.get("s", 0.0)


def _add_log(found: Counted, range_: Range, row: Row) -> None:
    value = row.get("value")
    found.count += 1
    found.events.setdefault(row["event"], Tally()).add(value)
    usage = value if row["event"] == USAGE else None
    found.devices.setdefault(str(row["device_id"]), Tally()).add(usage)
    found.trend[range_.place(row["at"].timestamp())].add(usage)


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
