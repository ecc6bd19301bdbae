"""The figures that analytics and reports are made of: of a fleet, its devices, its events and its days."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bson import ObjectId

from devicehub.analytics.ranges import Range
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.devices.models import Device
from devicehub.logs.rollups import Tally

MOST_DEVICES, MOST_EVENTS = 100, 100
MOST_ASKED_FOR = 10_000  # ids in one question
DIGITS = 6  # of sums, which differ in the last bits by the order in which they were added

Row = dict[str, Any]
Fleet = Counter[tuple[str, str, str]]


def fleet(actor: Actor, conditions: Mapping[str, Any] | None = None) -> Fleet:
    """How many devices there are, of those that meet the conditions, of each type, status and presence."""
    by = ("type", "status", "presence")
    chosen = {"$and": [seen_by(actor, Device), dict(conditions or {})]}
    grouped = Device._get_collection().aggregate(
        [{"$match": chosen}, {"$group": {"_id": {name: f"${name}" for name in by}, "count": {"$sum": 1}}}]
    )
    return Counter({tuple(row["_id"][name] for name in by): row["count"] for row in grouped})


def count_status(counted: Fleet, wanted: str) -> int:
    """How many of a fleet have this status."""
    return sum(count for (_, status, _), count in counted.items() if status == wanted)


def count_presence(counted: Fleet, wanted: str) -> int:
    """How many of a fleet have this presence."""
    return sum(count for (_, _, presence), count in counted.items() if presence == wanted)


def types(counted: Fleet) -> list[Row]:
    """The types of a fleet, the most common first, each with how many are active and online."""
    found: dict[str, Counter[str]] = {}
    for (kind, status, presence), count in counted.items():
        counts = found.setdefault(kind, Counter())
        counts.update(
            {"count": count, "active": count * (status == "active"), "online": count * (presence == "online")}
        )
    first = sorted(found, key=lambda kind: (-found[kind]["count"], kind))
    return [
        {"type": kind, **{name: found[kind][name] for name in ("count", "active", "online")}} for kind in first
    ]


def events(tallies: Mapping[str, Tally], total: int) -> list[Row]:
    """The events that came most often."""
    there = [event for event, tally in tallies.items() if tally.count]
    first = sorted(there, key=lambda one: (-tallies[one].count, one))[:MOST_EVENTS]
    return [
        {
            "event": event,
            "count": tallies[event].count,
            "share": share(tallies[event].count, total),
            "total": rounded(tallies[event].sum),
            "average": average(tallies[event]),
        }
        for event in first
    ]


def breakdown(actor: Actor, tallies: Mapping[str, Tally], total: float) -> list[Row]:
    """The devices that used most."""
    return list(islice(ranking(actor, tallies, total), MOST_DEVICES))


def ranking(actor: Actor, tallies: Mapping[str, Tally], total: float) -> Iterator[Row]:
    """All devices that logged, who used most first; those that are no more have no name, and are left out."""
    first = sorted(tallies, key=lambda one: (-tallies[one].sum, -tallies[one].count, one))
    for start in range(0, len(first), MOST_DEVICES):
        some = first[start : start + MOST_DEVICES]
        known = names(actor, some)
        yield from (of_device(one, known[one], tallies[one], total) for one in some if one in known)


def names(actor: Actor, device_ids: Sequence[str]) -> dict[str, Row]:
    """Name and type of those of these devices that there are."""
    wanted = [ObjectId(device_id) for device_id in device_ids]
    chosen = {"$and": [seen_by(actor, Device), {"_id": {"$in": wanted}}]}
    rows = Device._get_collection().find(chosen, {"name": 1, "type": 1})  # MongoEngine takes ten times as long
    return {str(row["_id"]): row for row in rows}


def count_there(actor: Actor, device_ids: Sequence[str]) -> int:
    """How many of these devices there are."""
    wanted = [ObjectId(device_id) for device_id in device_ids]
    steps = range(0, len(wanted), MOST_ASKED_FOR)
    parts = [Device.objects.visible_to(actor).filter(id__in=wanted[at : at + MOST_ASKED_FOR]) for at in steps]
    return sum(part.count() for part in parts)


def of_device(device_id: str, device: Row, tally: Tally, total: float) -> Row:
    """What one device used and logged, and its share of all that was used."""
    return {
        "deviceId": device_id,
        "deviceName": device["name"],
        "deviceType": device["type"],
        "usage": rounded(tally.sum),
        "average": average(tally),
        "logCount": tally.count,
        "share": share(tally.sum, total),
    }


def trend(range_: Range, tallies: Sequence[Tally]) -> list[Row]:
    """Every bucket of the range, also those in which nothing happened."""
    return [
        {
            "timestamp": clock.rfc3339(start),
            "usage": rounded(tally.sum),
            "average": average(tally),
            "logCount": tally.count,
        }
        for start, tally in zip(range_.buckets, tallies, strict=True)
    ]


def average(tally: Tally) -> float | None:
    """Of what has a value; None when nothing has."""
    return rounded(tally.sum / tally.values) if tally.values else None


def share(part: float, whole: float) -> float:
    """Per cent, nothing of nothing being 0."""
    return round(100 * part / whole, 2) if whole else 0.0


def rounded(number: float) -> float:
    """A sum without the digits that depend on the order in which it was added."""
    return round(number, DIGITS)
