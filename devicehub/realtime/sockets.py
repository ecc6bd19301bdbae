"""The Socket.IO door: who is let in, and who stays."""

from typing import Any

import structlog
from flask import request
from flask_socketio import ConnectionRefusedError, SocketIO
from marshmallow import fields, validate

from devicehub.core.actor import Actor
from devicehub.core.errors import Forbidden
from devicehub.realtime import service as realtime
from devicehub.realtime.errors import NoTokenInHandshake
from devicehub.web import errors, identity, sockets
from devicehub.web.guards import HEARS_EVENTS
from devicehub.web.schemas import Schema

log = structlog.get_logger(__name__)


class NotTheSameUser(Forbidden):
    detail = "A connection belongs to one user; open another for another."


class TokenSchema(Schema):
    token = fields.String(required=True, validate=validate.Length(max=identity.LONGEST_TOKEN))


def register(socketio: SocketIO) -> None:
    """Answer connecting, leaving, renewal, and what nobody else answers."""
    socketio.on_event("connect", _connect)
    socketio.on_event("disconnect", _disconnect)
    socketio.on_event("authenticate", sockets.answered(TokenSchema, _authenticate, known=False))
    socketio.on_event("*", sockets.answered_unknown)


def _connect(auth: Any = None) -> None:
    sid = request.sid  # type: ignore[attr-defined]
    try:
        sockets.spend()
        actor = _let_in(_token(auth))
        realtime.admit(sid, actor, auth.get("lastEventId") if isinstance(auth, dict) else None)
    except Exception as error:
        refusal = errors.named(error)
        log.info("socket.refused", code=refusal.code)
        raise ConnectionRefusedError(str(refusal), sockets.described(refusal)) from None
    log.info("socket.connected", user=actor.user_id, organization=actor.organization_id)


def _let_in(token: str) -> Actor:
    """Who comes with this token or key, if they may hear events at all."""
    actor = identity.authenticate(token)
    HEARS_EVENTS.accept(actor)
    return actor


def _token(auth: Any) -> str:
    """The token or key of the handshake: `auth: {token}`, or else of the headers."""
    token = auth.get("token") if isinstance(auth, dict) else None
    token = identity.presented() if token is None else token
    if not isinstance(token, str) or not token:
        raise NoTokenInHandshake()
    return token


def _disconnect(reason: str = "") -> None:
    realtime.forget(request.sid)  # type: ignore[attr-defined]


def _authenticate(actor: Actor, sid: str, token: str) -> dict[str, Any]:
    renewed = _let_in(token)
    if renewed.user_id != actor.user_id:
        raise NotTheSameUser()
    last_event_id = realtime.renew(sid, renewed)
    return {
        "userId": renewed.user_id,
        "organizationId": renewed.organization_id,
        "lastEventId": last_event_id,
    }
