"""Reading what was counted: any range, in any zone, from as few documents as cover it (`covers`).

So a range may begin and end at any instant, and comes to what its logs would. All documents are read as they were
at one moment, for some are taken off from others.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession

from devicehub.analytics import covers
from devicehub.analytics.covers import Cover, Devices, Signs, Span
from devicehub.analytics.ranges import Range
from devicehub.core import clock, mongo
from devicehub.core.actor import Actor
from devicehub.core.calendar import HOUR, QUARTER
from devicehub.core.documents import seen_by
from devicehub.logs import rollups
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Log, Zone
from devicehub.logs.rollups import Tally

DAY = timedelta(days=1)
DIGITS = 9
MOST_AT_ONCE = 10_000  # rows in one answer of MongoDB's, whose first is of 101 otherwise
Row = dict[str, Any]


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


def count(actor: Actor, range_: Range) -> int:
    """How many logs of an organization lie in a range: in one question, whatever it is put together from."""
    covered, owner = covers.cover(range_.start, range_.end, "UTC"), seen_by(actor, Hour)
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
    zone = range_.timezone if range_.timezone in zones else "UTC"
    covered = covers.cover(range_.start, range_.end, zone)
    wanted = covers.devices(covered, clock.now())
    found = Counted(trend=[Tally() for _ in range_.buckets])
    days_tell_trend = range_.timezone == zone and range_.interval != "hour"
    with mongo.snapshot() as session:
        for row in _day_rows(actor, covered, wanted, session):
            sign = wanted.weeks if row["part"] in rollups.OF_WEEKS else wanted.days
            _add(found, row, sign)
            if days_tell_trend and row["part"] == "all":
                _bucket(found, range_, row["at"].timestamp(), row.get("c", 0), row.get("e", {}).get(USAGE, {}))
        for row in _hour_rows(actor, covered, wanted, session):
            _add(found, row, wanted.hours)
            _add_quarters(found, range_, row, (range_.start, range_.end))
        if covered.days is not None and not days_tell_trend:
            for row in _trend_rows(actor, covered.days, session):
                _add_quarters(found, range_, row, covered.days)
        for row in _logs(actor, covered.rest, session):
            _add_log(found, range_, row)
    if any(sign < 0 for signs in wanted for sign in signs.values()):
        found.devices = {one: _settled(tally) for one, tally in found.devices.items() if tally.count}
    return found


def _day_rows(actor: Actor, covered: Cover, wanted: Devices, session: ClientSession) -> Iterator[Row]:
    whole: list[Row] = [] if covered.days is None else [{"at": _within(covered.days), "part": "all"}]
    some = [(wanted.days, rollups.OF_DAYS), (wanted.weeks, rollups.OF_WEEKS)]
    owner = {**seen_by(actor, Day), "zone": covered.zone}
    yield from _any_of(Day, owner, whole + _of_devices(some), session)


def _hour_rows(actor: Actor, covered: Cover, wanted: Devices, session: ClientSession) -> Iterator[Row]:
    whole: list[Row] = [{"at": _within(span), "part": "all"} for span in covered.hours]
    some = [(wanted.hours, rollups.OF_DAYS)]
    yield from _any_of(Hour, seen_by(actor, Hour), whole + _of_devices(some), session)


def _of_devices(some: list[tuple[Signs, tuple[str, ...]]]) -> list[Row]:
    return [{"at": {"$in": sorted(signs)}, "part": {"$in": [*parts]}} for signs, parts in some if signs]


def _trend_rows(actor: Actor, days: Span, session: ClientSession) -> Iterator[Row]:
    """The quarters of whole days, of which the first may begin within an hour of UTC."""
    span = covers.floor(days[0], HOUR), days[1]
    yield from _any_of(
        Hour, seen_by(actor, Hour), [{"at": _within(span), "part": "all"}], session, {"at": 1, "q": 1}
    )


def _any_of(
    document: Any, owner: Row, choices: list[Row], session: ClientSession, wanted: Row | None = None
) -> Iterator[Row]:
    """Rows as they are stored, past MongoEngine and in one go: there may be thousands of them."""
    if choices:
        chosen, left_out = {"$or": [{**owner, **one} for one in choices]}, {"organization_id": 0, "zone": 0}
        yield from document._get_collection().find(
            chosen, {"_id": 0, **(wanted or left_out)}, batch_size=MOST_AT_ONCE, session=session
        )


def _within(span: Span) -> Row:
    return {"$gte": span[0], "$lt": span[1]}


def _logs(actor: Actor, spans: list[Span], session: ClientSession) -> Iterator[Row]:
    owner, wanted = seen_by(actor, Log), {"device_id": 1, "event": 1, "value": 1, "at": 1}
    for span in spans:
        yield from _any_of(Log, owner, [{"at": _within(span)}], session, wanted)


def _add(found: Counted, row: Row, signs: Signs) -> None:
    """A document of an hour, a day or a week; of one that counts devices, as its sign says."""
    found.count += row.get("c", 0)
    for name, stored in row.get("e", {}).items():
        found.events.setdefault(rollups.read(name), Tally()).merge(Tally.of(stored))
    if "d" not in row:
        return
    sign, devices = signs[row["at"]], found.devices
    for device_id, stored in row["d"].items():  # thousands of them
        tally = devices.get(device_id)
        if tally is None:
            tally = devices[device_id] = Tally()
        tally.count += sign * stored["c"]
        if "n" in stored:
            tally.values += sign * stored["n"]
            tally.sum += sign * stored["s"]


def _settled(tally: Tally) -> Tally:
    """Without what is left, in the last digits, of values that were added and taken off again."""
    tally.sum = round(tally.sum, DIGITS) if tally.values else 0.0
    return tally


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
    inner = (_up(range_.start), covers.floor(range_.end, QUARTER))
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
    start = covers.floor(moment, QUARTER)
    return start if start == moment else start + QUARTER


def _edges(range_: Range, inner: Span) -> list[Span]:
    if inner[0] >= inner[1]:
        return [(range_.start, range_.end)]
    return [span for span in ((range_.start, inner[0]), (inner[1], range_.end)) if span[0] < span[1]]


def _device_days(actor: Actor, device_ids: list[ObjectId], range_: Range, event: str | None) -> Iterator[Row]:
    chosen: Row = {
        **seen_by(actor, DeviceDay),
        "device_id": {"$in": device_ids},
        "at": {"$gte": covers.floor(range_.start, DAY), "$lt": range_.end},
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
