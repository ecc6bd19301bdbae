"""Heartbeats: one conditional update each, told after it was written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument

from devicehub.core import cache, clock, live
from devicehub.core.actor import Actor
from devicehub.core.errors import Conflict
from devicehub.core.events import emit
from devicehub.devices import service as devices
from devicehub.devices import views
from devicehub.devices.models import Device

_TRIES = 5
_SHOWN = {"status": "status", "presence": "presence", "firmware_version": "firmwareVersion"}


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat was answered with."""

    device_id: str
    status: str
    presence: str
    last_active_at: datetime
    server_time: datetime
    next_heartbeat_in: int


def beat(actor: Actor, device_id: str, told: Mapping[str, Any]) -> Beat:
    """Note a sign of life of a device: seen now, by the server's clock; raises DeviceNotFound.

    Only a beat that changes status, presence or firmware outdates cached lists.
    """
    for _ in range(_TRIES):
        before = devices.row_of(actor, device_id)
        changes = _changes(before, told)
        row = _write(actor, before, changes, told)
        if row is not None:
            _tell(actor, row, changes)
            moment = row["last_active_at"]
            return Beat(device_id, row["status"], row["presence"], moment, clock.now(), row["heartbeat_interval"])
    raise Conflict()


def _changes(before: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What this beat makes different, in stored names."""
    wanted = {"presence": "online"}
    if "firmware_version" in told:
        wanted["firmware_version"] = told["firmware_version"]
    if "status" in told:
        wanted["status"] = told["status"]
    elif before["status"] == "inactive" and before.get("status_by") == "silence":
        wanted["status"] = "active"
    return {name: value for name, value in wanted.items() if before.get(name) != value}


def _write(
    actor: Actor, before: Mapping[str, Any], changes: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Write the beat if the device still is as it was read; None when somebody else was faster."""
    if not changes:
        return _update(actor, before, changes, told)
    with cache.current().writing(actor.organization_id, devices.NOUN):
        return _update(actor, before, changes, told)


def _update(
    actor: Actor, before: Mapping[str, Any], changes: Mapping[str, Any], told: Mapping[str, Any]
) -> dict[str, Any] | None:
    unchanged = {name: before.get(name) for name in (*_SHOWN, "status_by")}
    update: dict[str, Any] = {"$max": {"last_active_at": clock.now()}, "$inc": {"beats": 1}}
    written = dict(changes) | ({"metrics": dict(told["metrics"])} if "metrics" in told else {})
    if "status" in changes:
        written["status_by"] = "device"
    if written:
        update["$set"] = written
    device_id = str(before["_id"])
    live.current().begin(actor.organization_id, [device_id])
    row: dict[str, Any] | None = Device._get_collection().find_one_and_update(
        {"_id": before["_id"], "organization_id": ObjectId(actor.organization_id), **unchanged},
        update,
        return_document=ReturnDocument.AFTER,
    )
    if row is None:
        live.current().abandon(actor.organization_id, device_id)
    else:
        live.current().finish(actor.organization_id, {device_id: views.live_value(row)})
    return row


def _tell(actor: Actor, row: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    state = {"device_id": str(row["_id"]), "status": row["status"], "presence": row["presence"]}
    if changes:
        shown = {_SHOWN[name]: value for name, value in changes.items()}
        emit("device.status_changed", actor, **state, changes=shown)
    emit(
        "device.heartbeat",
        actor,
        **state,
        last_active_at=row["last_active_at"],
        metrics=row.get("metrics", {}),
    )
