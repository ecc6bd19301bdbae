"""Organizations: the Socket.IO door."""

from typing import Any

from flask_socketio import SocketIO
from marshmallow import fields

from devicehub.core.actor import Actor
from devicehub.organizations import service as organizations
from devicehub.realtime import service as realtime
from devicehub.web import sockets
from devicehub.web.schemas import Schema


class OrganizationReferenceSchema(Schema):
    organization_id = fields.String(required=True)


class JoiningSchema(OrganizationReferenceSchema):
    last_event_id = fields.String(load_default="")


def register(socketio: SocketIO) -> None:
    """Answer `join-organization` and `leave-organization`."""
    socketio.on_event("join-organization", sockets.answered(JoiningSchema, _join))
    socketio.on_event("leave-organization", sockets.answered(OrganizationReferenceSchema, _leave))


def _join(actor: Actor, sid: str, organization_id: str, last_event_id: str) -> dict[str, Any]:
    role = organizations.require(actor, organization_id).role
    stand = realtime.join(sid, organization_id, last_event_id)
    joined = {"organizationId": organization_id, "role": role, "lastEventId": stand}
    realtime.tell(sid, "joined-organization", joined)
    realtime.catch_up(sid, organization_id)
    return joined


def _leave(actor: Actor, sid: str, organization_id: str) -> dict[str, Any]:
    realtime.leave(sid, organization_id)
    return {"organizationId": organization_id}
