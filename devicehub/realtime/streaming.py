"""An SSE client from its first frame to its last."""

import socket
from collections.abc import Iterator

from devicehub.core import crypto
from devicehub.core.actor import Actor
from devicehub.core.errors import Unavailable
from devicehub.core.redis import RedisAway
from devicehub.realtime import replay, wire
from devicehub.realtime.hub import Hub, ours
from devicehub.realtime.log import Entry, NotKept
from devicehub.realtime.service import greeting
from devicehub.realtime.streams import RETRY, Stream


def stream(actor: Actor, connection: socket.socket | None, seen: str | None = None) -> Iterator[bytes]:
    """What an SSE client is sent: `connected`, what it missed after the id it saw, then what happens."""
    if ours().is_draining:
        raise Unavailable()
    return _frames(ours(), actor, connection, seen or None)


def _frames(hub: Hub, actor: Actor, connection: socket.socket | None, seen: str | None) -> Iterator[bytes]:
    organization_id = actor.organization_id
    made = Stream(actor, frozenset((wire.EVERYONE, wire.user(actor.user_id))), connection)
    try:
        hub.reader.follow(organization_id, made)
        hub.reader.settle(organization_id)
        refusal = replay.refusal(hub.events, hub.reader, organization_id, seen) if seen is not None else None
        with hub.reader.lock:
            head = hub.reader.head(organization_id)
            hub.streams[organization_id].add(made)
        stand = seen if seen is not None and refusal is None else head
        yield RETRY
        yield wire.frame("connected", greeting(actor, crypto.random_token(15), stand), stand)
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
