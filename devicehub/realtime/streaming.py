"""An SSE client from its first frame to its last."""

import socket
from collections.abc import Iterator
from dataclasses import replace

from devicehub.core import config
from devicehub.core.actor import Actor
from devicehub.core.errors import Unavailable
from devicehub.core.redis import RedisAway
from devicehub.realtime import replay, wire
from devicehub.realtime.hub import Hub, ours
from devicehub.realtime.log import Entry, NotKept
from devicehub.realtime.seats import Seat
from devicehub.realtime.service import greeting
from devicehub.realtime.streams import RETRY, Stream


def stream(actor: Actor, connection: socket.socket | None, seen: str | None = None) -> Iterator[bytes]:
    """What an SSE client is sent: `connected`, what it missed after the id it saw, then what happens."""
    hub = ours()
    if hub.is_draining:
        raise Unavailable()
    audiences = frozenset((wire.EVERYONE, wire.user(actor.user_id)))
    made = Stream(replace(actor, request_id=None, ip=None), audiences, connection)
    limit = config.current().streams_per_user
    hub.seats.take(_seat(made), limit=limit, here=hub.seats_of("streams", actor.user_id))
    return _frames(hub, made, seen or None)


def _seat(made: Stream) -> Seat:
    return "streams", made.actor.user_id, made.id


def _frames(hub: Hub, made: Stream, seen: str | None) -> Iterator[bytes]:
    organization_id = made.actor.organization_id
    try:
        hub.reader.follow(organization_id, made)
        hub.reader.settle(organization_id)
        refusal = replay.refusal(hub.events, hub.reader, organization_id, seen) if seen is not None else None
        with hub.reader.lock:
            head = hub.reader.head(organization_id)
            hub.streams[organization_id].add(made)
        if hub.is_draining:  # since it was let in; whoever drains has not seen it
            yield RETRY
            return
        stand = seen if seen is not None and refusal is None else head
        yield RETRY
        yield wire.frame("connected", greeting(made.actor, made.id, stand), stand)
        if refusal is not None:
            yield _resync(organization_id, refusal, head)
        elif seen is not None and head is not None:
            yield from _missed(hub, made, seen, head)
        yield from made.frames()
    finally:
        with hub.reader.lock:
            hub.streams[organization_id].discard(made)
            if not hub.streams[organization_id]:
                del hub.streams[organization_id]
            hub.reader.unfollow(organization_id, made)
        hub.seats.give_up(_seat(made))


def _missed(hub: Hub, made: Stream, seen: str, upto: str) -> Iterator[bytes]:
    organization_id = made.actor.organization_id

    def hears(entry: Entry) -> bool:
        return bool(entry.event) and entry.audience in made.audiences

    try:
        for entries in replay.missed(hub.events, organization_id, seen, upto, hears):
            for entry in entries:
                if made.has_ended:
                    return
                yield wire.frame(entry.event, wire.payload_of(entry), entry.id)
    except (NotKept, RedisAway) as error:
        reason = "not_kept" if isinstance(error, NotKept) else "unavailable"
        yield _resync(organization_id, reason, upto)


def _resync(organization_id: str, reason: str, last_event_id: str | None) -> bytes:
    told = {"organizationId": organization_id, "reason": reason, "lastEventId": last_event_id}
    return wire.frame("resync-required", told, last_event_id)
