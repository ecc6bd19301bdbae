"""What devices become, written: many at once, each only if it still is as it was read; and then told, once.

Every change of a device's state is numbered and stands in its `untold` until it is in the history and in the log
of live events. Whoever wrote it tells it; if they die before, the sweeper does. So each is told, in the order of
their numbers, and what was told already the log refuses.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from devicehub.core import cache, crypto, live, metrics, mongo
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable
from devicehub.core.events import emit
from devicehub.devices import history, views
from devicehub.devices.models import Device
from devicehub.devices.presence import Row
from devicehub.devices.service import NOUN

# All that a signal or silence depends on or changes; metadata may be large and is none of it.
_STATE = ("status", "status_by", "status_since", "presence", "presence_since", "firmware_version", "metrics",
          "last_active_at", "due_at", "notice", "signal", "clock_offset_ms", "transitions",
          "sequence")  # fmt: skip
FIELDS = dict.fromkeys(("organization_id", "heartbeat_interval", "created_at", "untold", *_STATE), 1)
_SHOWN = {"status": "status", "presence": "presence", "firmware_version": "firmwareVersion"}


@dataclass(frozen=True, slots=True)
class Change:
    """A device as it was read, and as it is to be."""

    before: Row
    after: Row

    @property
    def device_id(self) -> ObjectId:
        device_id: ObjectId = self.before["_id"]
        return device_id

    @property
    def organization_id(self) -> str:
        return str(self.before["organization_id"])

    @property
    def new(self) -> list[Row]:
        """The transitions it is made of."""
        told: list[Row] = self.after.get("untold", [])
        return told[len(self.before.get("untold", ())) :]


def read(device_ids: Collection[ObjectId]) -> dict[ObjectId, Row]:
    """The stored state of these devices, of whatever organization: whose they are is the caller's to ask."""
    rows = Device._get_collection().find({"_id": {"$in": list(device_ids)}}, FIELDS)
    return {row["_id"]: row for row in rows}


def write(changes: list[Change]) -> set[ObjectId]:
    """Write what still is as it was read, and return which of them it was; each device comes once.

    One bulk write for all, acknowledged by a majority.
    """
    outdated = {change.organization_id for change in changes if change.new}
    ids, values = defaultdict(list), defaultdict[str, dict[str, Any]](dict)
    for change in changes:
        ids[change.organization_id].append(str(change.device_id))
    with cache.current().writing_all(outdated, NOUN):
        live.current().begin(ids)
        written = _write(changes)
        for change in changes:
            value = views.live_value(change.after) if change.device_id in written else None
            values[change.organization_id][str(change.device_id)] = value
        live.current().finish(values)
    metrics.count_transitions(
        transition["presence"] if "presence" in transition["changes"] else "other"
        for change in changes
        if change.device_id in written
        for transition in change.new
    )
    return written


def _write(changes: list[Change]) -> set[ObjectId]:
    token = crypto.random_token(9)
    operations = [_operation(change, token) for change in changes]
    collection = Device._get_collection()
    try:
        matched = collection.bulk_write(operations, ordered=False).matched_count
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # written, but it may be lost yet
            raise DatabaseUnavailable() from error
        raise
    ids = [change.device_id for change in changes]
    if matched == len(changes):
        return set(ids)
    # MongoDB says how many it was, and not which. Who was written over since counts as lost: its beat is written
    # again, and what it changed stands in `untold`.
    return {row["_id"] for row in collection.find({"_id": {"$in": ids}, "written_by": token}, {"_id": 1})}


def _operation(change: Change, token: str) -> UpdateOne:
    before, after = change.before, change.after
    different = {name: after.get(name) for name in _STATE if after.get(name) != before.get(name)}
    kept = {name: value for name, value in different.items() if value is not None}
    update: Row = {"$set": kept | {"written_by": token}}
    if gone := different.keys() - kept.keys():
        update["$unset"] = dict.fromkeys(gone, "")
    if change.new:
        update["$push"] = {"untold": {"$each": change.new}}
    return UpdateOne({"_id": before["_id"], "sequence": before["sequence"]}, update)


def record(rows: Iterable[Row]) -> None:
    """Keep what is untold of these devices in their history; first, so that who is told finds it there."""
    history.keep([(row, transition) for row in rows for transition in row.get("untold", ())])


def tell(actor: Actor, row: Row, transition: Row) -> None:
    """Tell of one transition, unless it was told."""
    device_id = str(row["_id"])
    emit(
        "device.status_changed",
        actor,
        device_id=device_id,
        status=transition["status"],
        presence=transition["presence"],
        changes={_SHOWN[name]: value for name, value in transition["changes"].items()},
        once=(f"told:{device_id}", transition["seq"]),
    )


def settle(rows: Iterable[Row]) -> None:
    """All that these devices had untold has been told; where that is lost again, it is told again."""
    told = [
        UpdateOne({"_id": row["_id"]}, {"$pull": {"untold": {"seq": {"$lte": row["untold"][-1]["seq"]}}}})
        for row in rows
        if row.get("untold")
    ]
    if told:
        mongo.at_ease(Device).bulk_write(told, ordered=False)
