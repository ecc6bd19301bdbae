"""Logs: written together with what is counted of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession

from devicehub.core import clock, mongo, transactions
from devicehub.core.actor import Actor
from devicehub.core.groups import Group
from devicehub.devices import heartbeats
from devicehub.devices import service as devices
from devicehub.devices.presence import Signal
from devicehub.logs import rollups, updates
from devicehub.logs.models import Log

MOST_GAPS = 100
_LARGEST_GROUP = 5000

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gaps:
    """Which sequence numbers are missing between the least and the greatest."""

    device_id: str
    first: int | None
    last: int | None
    missing: int
    gaps: list[Row]


def add(actor: Actor, device_id: str, many: Sequence[Mapping[str, Any]]) -> list[Row | None]:
    """Write logs of a device, together with what is counted of them; None for each that was there already.

    That is one with the same `sequence`. They are a sign of life, whoever sends them on. Raises DeviceNotFound.
    """
    device = devices.row_of(actor, device_id)
    received_at = clock.now()
    owner = {"organization_id": device["organization_id"], "device_id": device["_id"]}
    rows = [{"_id": ObjectId(), **owner, **fields, "received_at": received_at} for fields in many]
    written = list(_group.submit(rows)) if rows else []
    if rows:
        heartbeats.note([Signal(actor, device["_id"], "log")])
    return written


def _write_together(rows: list[Row]) -> list[Row | None]:
    """All logs of a moment, in one transaction."""
    return transactions.run(lambda session: write(session, rows))


def write(session: ClientSession, rows: list[Row]) -> list[Row | None]:
    """Write logs and what is counted of them in a transaction; None for each whose sequence was there already."""
    known = _known(session, rows)
    new = [row for index, row in enumerate(rows) if index not in known]
    if new:
        db = mongo.database()
        db[Log._get_collection_name()].insert_many(new, session=session)
        zones = rollups.zones_of(session, {row["organization_id"] for row in new})
        for document, many in updates.of(rollups.fold(new), zones).items():
            db[document._get_collection_name()].bulk_write(many, ordered=False, session=session)
    return [None if index in known else row for index, row in enumerate(rows)]


def _known(session: ClientSession, rows: list[Row]) -> set[int]:
    """The indexes of those whose sequence number is there already, or stands before them."""
    numbered: dict[ObjectId, dict[int, list[int]]] = {}
    for index, row in enumerate(rows):
        if "sequence" in row:
            numbered.setdefault(row["device_id"], {}).setdefault(row["sequence"], []).append(index)
    known = {index for numbers in numbered.values() for same in numbers.values() for index in same[1:]}
    for device_id, numbers in numbered.items():
        wanted = {"device_id": device_id, "sequence": {"$in": list(numbers)}}
        for row in Log._get_collection().find(wanted, {"sequence": 1, "_id": 0}, session=session):
            known.update(numbers[row["sequence"]])
    return known


def gaps(actor: Actor, device_id: str) -> Gaps:
    """Which of a device's sequence numbers never came; raises DeviceNotFound."""
    row = devices.row_of(actor, device_id)
    chosen = {"device_id": row["_id"], "sequence": {"$exists": True}}
    numbers = Log.objects.visible_to(actor).filter(__raw__=chosen).order_by("sequence").only("sequence")
    first: int | None = None
    last: int | None = None
    missing, found = 0, list[Row]()
    for each in numbers.as_pymongo():
        number = each["sequence"]
        if last is None:
            first = number
        elif number > last + 1:
            missing += number - last - 1
            if len(found) < MOST_GAPS:
                found.append({"start": last + 1, "end": number - 1, "missing": number - last - 1})
        last = number
    return Gaps(device_id, first, last, missing, found)


_group: Group[Row, Row | None] = Group(_write_together, largest=_LARGEST_GROUP)
