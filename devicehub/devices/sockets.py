"""Devices: the Socket.IO door."""

from typing import Any

from flask_socketio import SocketIO
from marshmallow import fields

from devicehub.core.actor import Actor
from devicehub.devices import service as devices
from devicehub.realtime import service as realtime
from devicehub.web import sockets
from devicehub.web.guards import Guard
from devicehub.web.schemas import Schema


class DeviceReferenceSchema(Schema):
    device_id = fields.String(required=True)


_READS_DEVICES = Guard("viewer", scope="devices:read")


def register(socketio: SocketIO) -> None:
    """Answer `device-status-request` and `device-unsubscribe`."""
    socketio.on_event(
        "device-status-request", sockets.answered(DeviceReferenceSchema, _subscribe, guard=_READS_DEVICES)
    )
    socketio.on_event("device-unsubscribe", sockets.answered(DeviceReferenceSchema, _unsubscribe))


def _subscribe(actor: Actor, sid: str, device_id: str) -> dict[str, Any]:
    devices.get(actor, device_id)  # may it?
    realtime.watch(sid, device_id)
    subscribed = {"deviceId": device_id, "device": devices.get(actor, device_id)}
    realtime.tell(sid, "subscribed-device", subscribed)
    return subscribed


def _unsubscribe(actor: Actor, sid: str, device_id: str) -> dict[str, Any]:
    realtime.unwatch(sid, device_id)
    return {"deviceId": device_id}
