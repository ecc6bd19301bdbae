"""What clients hear: which wire event an event of ours becomes, for whom, and in which words.

Socket.IO and SSE tell the same payloads. An *audience* is a part of an organization: everyone (`org`) or one
user (`user:<id>`); a socket may also listen to a single device (`device:<id>`). A room is an organization's
audience.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from devicehub.core import clock
from devicehub.core.events import Event
from devicehub.realtime.log import Entry

EVERYONE = "org"
HEARTBEAT = "device-heartbeat"

Payload = dict[str, Any]


def user(user_id: str) -> str:
    """The audience that one user is."""
    return f"user:{user_id}"


def device(device_id: str) -> str:
    """The audience of those who asked for one device."""
    return f"device:{device_id}"


def room(organization_id: str, audience: str) -> str:
    """The Socket.IO room of an organization's audience."""
    return f"{organization_id}/{audience}"


def _device_update(event: Event) -> Payload:
    return _device(event, "device_status_update", changes=event.data["changes"])


def _device_heartbeat(event: Event) -> Payload:
    data = event.data
    return _device(event, "device_heartbeat", lastActiveAt=data["last_active_at"], metrics=data["metrics"])


def _device(event: Event, kind: str, **own: Any) -> Payload:
    return {
        "type": kind,
        "organizationId": event.actor.organization_id,
        "deviceId": event.data["device_id"],
        "status": event.data["status"],
        "presence": event.data["presence"],
        **own,
        "timestamp": event.at,
    }


def _notification(event: Event) -> Payload:
    data = event.data
    told = {name: data[name] for name in ("type", "title", "message")}
    known = {"notificationId": data["notification_id"]} if "notification_id" in data else {}
    return {**told, **known, "data": data.get("data") or {}, "timestamp": event.at}


def _job_progress(event: Event) -> Payload:
    data = event.data
    return {
        "jobId": data["job_id"],
        "status": data["status"],
        "progress": data["progress"],
        "timestamp": event.at,
    }


def _everyone(event: Event) -> str:
    return EVERYONE


def _their_user(event: Event) -> str:
    return user(event.data.get("user_id") or event.actor.user_id)


_TOLD: dict[str, tuple[str, Callable[[Event], Payload], Callable[[Event], str]]] = {
    "device.created": ("device-update", _device_update, _everyone),
    "device.updated": ("device-update", _device_update, _everyone),
    "device.deleted": ("device-update", _device_update, _everyone),
    "device.status_changed": ("device-update", _device_update, _everyone),
    "device.heartbeat": (HEARTBEAT, _device_heartbeat, _everyone),
    "notification.created": ("notification", _notification, _their_user),
    "job.progressed": ("job-progress", _job_progress, _their_user),
}


def entry_of(event: Event) -> Entry | None:
    """The log entry that tells an event to clients; None for what is not for their ears."""
    if event.name not in _TOLD:
        return None
    name, describe, audience = _TOLD[event.name]
    return Entry(name, audience(event), dumps(describe(event)))


def payload_of(entry: Entry) -> Payload:
    """What clients are sent of an entry; `id` is null when there was no log to take one from."""
    return {"id": entry.id or None, **orjson.loads(entry.payload)}


def audiences_of(entry: Entry, payload: Payload) -> list[str]:
    """Whom an entry is told; a socket that is in two of these audiences hears it once."""
    audiences = [entry.audience]
    if entry.audience == EVERYONE and "deviceId" in payload:
        audiences.append(device(payload["deviceId"]))
    return audiences


def frame(event: str, payload: Payload, event_id: str | None) -> bytes:
    """One event as SSE writes it."""
    head = f"id: {event_id}\nevent: {event}\n" if event_id else f"event: {event}\n"
    return b"%sdata: %s\n\n" % (head.encode(), dumps(payload))


def dumps(payload: Payload) -> bytes:
    """JSON as the API writes it."""
    return orjson.dumps(payload, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _plain(value: Any) -> str:
    return clock.rfc3339(value) if isinstance(value, datetime) else str(value)
