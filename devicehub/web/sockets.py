"""Client events of Socket.IO: counted, checked and answered alike, whichever feature they belong to.

The answer goes through the acknowledgement: `{ok: true, ...}` or `{ok: false, error: {code, message}}`. What is
refused is told as the event `error` too, for a client that asked for no acknowledgement.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from flask import request
from marshmallow import ValidationError

from devicehub.core.errors import DeviceHubError, InvalidInput, NotFound
from devicehub.realtime import service as realtime
from devicehub.web import errors, identity
from devicehub.web.guards import HEARS_EVENTS, Guard
from devicehub.web.limits import RateLimitExceeded
from devicehub.web.schemas import Schema

EVENTS_PER_MINUTE = 100

Answer = dict[str, Any]
Handler = Callable[..., Answer]


class UnknownEvent(NotFound):
    detail = "There is no client event of this name."


class TooManyEvents(RateLimitExceeded):
    detail = "A connection may send {limit} events a minute."


def answered(
    schema: type[Schema], handle: Handler, *, known: bool = True, guard: Guard = HEARS_EVENTS
) -> Callable[..., Answer]:
    """A handler of client events made of `handle(actor, sid, **fields)`, which returns what the answer carries.

    The caller's session and membership are asked for again at each event, unless the event is how a caller
    whose token has ended makes itself known. `guard` says who may send it.
    """
    loader = schema()

    def on_event(*arguments: Any) -> Answer:
        sid: str = request.sid  # type: ignore[attr-defined]
        try:
            spend()
            actor = realtime.actor_of(sid)
            if known:
                identity.still_valid(actor)
            guard.accept(actor)
            return {"ok": True, **handle(actor, sid, **_load(loader, arguments))}
        except Exception as error:
            return _refuse(sid, errors.named(error))

    return on_event


def answered_unknown(event: str, *arguments: Any) -> Answer:
    """Answer an event nobody handles, or a message that could not be read as one."""
    try:
        spend()
        malformed = arguments[0] if arguments else None
        raise malformed if isinstance(malformed, DeviceHubError) else UnknownEvent()
    except DeviceHubError as error:
        return _refuse(request.sid, error)  # type: ignore[attr-defined]


def spend() -> None:
    """Count one event against the connection's minute; raises TooManyEvents."""
    spent: deque[float] = request.environ.setdefault("devicehub.spent", deque(maxlen=EVENTS_PER_MINUTE))
    moment = time.monotonic()
    if len(spent) == EVENTS_PER_MINUTE and moment - spent[0] < 60:
        raise TooManyEvents(limit=EVENTS_PER_MINUTE)
    spent.append(moment)


def described(error: DeviceHubError) -> dict[str, Any]:
    """An error as sockets tell it."""
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    return told | ({"errors": error.errors} if error.errors else {})


def _load(loader: Schema, arguments: tuple[Any, ...]) -> dict[str, Any]:
    if len(arguments) > 1:
        raise InvalidInput(errors={"_schema": ["Send one object."]})
    try:
        loaded: dict[str, Any] = loader.load(arguments[0] if arguments else {})
    except ValidationError as error:
        raise InvalidInput(errors=dict(error.messages_dict)) from error
    return loaded


def _refuse(sid: str, error: DeviceHubError) -> Answer:
    told = described(error)
    realtime.tell(sid, "error", told)
    return {"ok": False, "error": told}
