"""Which events are told to webhooks, and what of each: of an organization, and nothing that opens a door."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devicehub.core import clock, crypto
from devicehub.core.events import Event
from devicehub.realtime import wire
from devicehub.web.schemas import camel

# Event: the facts that are told of it. The event's name is the kind of the message.
_TOLD: dict[str, tuple[str, ...]] = {
    "api_key.created": ("key_id",),
    "api_key.revoked": ("key_id",),
    "api_key.updated": ("key_id",),
    "device.created": ("device_id", "status", "presence"),
    "device.deleted": ("device_id",),
    "device.status_changed": ("device_id", "status", "presence", "changes"),
    "device.updated": ("device_id", "status", "presence", "changes"),
    "device_key.created": ("key_id", "device_id"),
    "device_key.revoked": ("key_id", "device_id"),
    "export.completed": ("job_id", "type", "format", "file_name", "file_size", "record_count", "expires_at"),
    "export.failed": ("job_id", "type", "format", "error"),
    "invitation.accepted": ("invitation_id",),
    "invitation.created": ("invitation_id", "role"),
    "invitation.revoked": ("invitation_id",),
    "job.failed": ("job_id", "name"),
    "member.added": ("user_id", "role"),
    "member.removed": ("user_id", "role"),
    "member.role_changed": ("user_id", "role"),
    "notification.created": ("user_id", "notification_id", "type", "title", "message", "data"),
    "organization.updated": ("changes",),
}
_PRESENCES = ("online", "late", "offline")
# These may be told again by who does not know whether they were: the fact that says it is the same.
_SAME = {
    "device.created": "device_id",
    "device.deleted": "device_id",
    "notification.created": "notification_id",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What there is to tell webhooks that listen to its kind."""

    id: str
    kind: str
    organization_id: str
    at: datetime
    data: dict[str, Any]

    @property
    def body(self) -> str:
        """What is sent, the same each time."""
        told = {
            "id": self.id,
            "type": self.kind,
            "organizationId": self.organization_id,
            "createdAt": clock.rfc3339(self.at),
            "data": self.data,
        }
        return wire.dumps(told).decode()


def is_told(event: Event) -> bool:
    """Whether an event is one that webhooks may listen to."""
    return event.name in _TOLD and bool(event.actor.organization_id)


def messages(event: Event) -> Iterator[Message]:
    """What webhooks are told of an event that is told: one thing, or of a device's presence two."""
    data = {camel(name): _shown(event.data[name]) for name in _TOLD[event.name] if name in event.data}
    for kind in _kinds(event):
        yield Message(_id(event, kind), kind, event.actor.organization_id, event.at, data)


def _kinds(event: Event) -> Iterator[str]:
    yield event.name
    if event.name == "device.status_changed":
        presence = event.data["changes"].get("presence")
        if presence in _PRESENCES:
            yield f"device.{presence}"


def _id(event: Event, kind: str) -> str:
    """The same for the same thing, however often and by whomever it is told."""
    if event.data.get("once"):
        key = ":".join(map(str, event.data["once"]))
    elif event.name in _SAME:
        key = event.data[_SAME[event.name]]
    else:
        key = event.id
    return "evt_" + crypto.digest(f"{event.actor.organization_id}|{kind}|{key}")


def _shown(value: Any) -> Any:
    return {camel(name): one for name, one in value.items()} if isinstance(value, dict) else value
