"""Those who listen to live events here: let in, told in the order of the organization's log, and sent home.

What they are told is published by `publishing.py`, in processes that nobody listens to as well.
"""

import random
from collections import Counter
from typing import Any

from flask import Flask

from devicehub.core import clock, config
from devicehub.core.actor import Actor
from devicehub.core.errors import InsufficientRole, Unavailable
from devicehub.extensions import socketio
from devicehub.realtime import returning, rooms, transport, wire
from devicehub.realtime.hub import Connection, ours
from devicehub.realtime.returning import catch_up as catch_up
from devicehub.realtime.rooms import tell as tell
from devicehub.realtime.seats import Seat

RETRY_MS = 1000, 5000


def start(app: Flask) -> None:
    """Begin to hear the log. Not at import, and not before a fork."""
    ours().reader.start()


def drain() -> None:
    """End every stream and socket now and let nobody in: the process is about to end.

    Each client is told after how long to come back, one sooner and one later, so that they do not all come at
    once. It waits a moment for those who read slowly, so a signal handler has to leave it to a greenlet.
    """
    hub, engine = ours(), socketio.server.eio
    hub.is_draining = True
    streams = [stream for listening in hub.streams.values() for stream in listening]
    for stream in streams:
        stream.finish(b"retry: %d\n\n" % random.randint(*RETRY_MS))  # noqa: S311
    seats = [_seat(sid, connection.actor) for sid, connection in hub.connections.items()]
    for sid in list(hub.connections):
        rooms.tell(sid, "server-draining", {"retryInMs": random.randint(*RETRY_MS)})  # noqa: S311
    transport.wait_until_fetched(patience=0.5)
    engine.transports = []  # engine.io refuses whoever comes now, polls included
    for client in list(engine.sockets.values()):
        client.close(wait=False, reason=engine.reason.SERVER_DISCONNECT)
    transport.hang_up_on_all(patience=1.0)
    for stream in streams:
        stream.close()
    hub.seats.give_up(*seats)


def is_draining() -> bool:
    """Whether this process is about to end."""
    return ours().is_draining


def stats(actor: Actor) -> dict[str, Any]:
    """How many listen, over all processes: to the caller's organization, or to each for a platform admin."""
    if not (actor.is_platform_admin or actor.is_at_least("admin")):
        raise InsufficientRole(role="admin")
    hub = ours()
    count = hub.census.take(hub.count())
    if not actor.is_platform_admin:
        return _counts(count.organizations[actor.organization_id])
    organizations = [
        {"organization_id": one} | _counts(count.organizations[one]) for one in sorted(count.organizations)
    ]
    return _counts(count.total) | {"processes": count.processes, "organizations": organizations}


def _counts(counted: Counter[str]) -> dict[str, Any]:
    return {kind: counted[kind] for kind in ("sockets", "streams")}


def admit(sid: str, actor: Actor, seen: object = None) -> None:
    """A socket is about to be let in: hear its organization first, so that it misses nothing after `connected`.

    With the id of the last event it saw it will be told what came after that.
    """
    hub = ours()
    if hub.is_draining:
        raise Unavailable()
    limit = config.current().sockets_per_user
    hub.seats.take(_seat(sid, actor), limit=limit, here=hub.seats_of("sockets", actor.user_id))
    hub.connections[sid] = Connection(actor)
    rooms.follow(sid, actor.organization_id, wire.EVERYONE, wire.user(actor.user_id))
    returning.note(sid, actor.organization_id, seen)


def _seat(sid: str, actor: Actor) -> Seat:
    return "sockets", actor.user_id, sid


def welcome(sid: str) -> None:
    """The client knows that it is let in: `connected` comes first, then what it missed, then what happens."""
    hub = ours()
    connection = hub.connections[sid]
    actor = connection.actor
    with hub.reader.lock:
        rooms.tell(sid, "connected", greeting(actor, sid, returning.stand(sid, actor.organization_id)))
    returning.catch_up(sid, actor.organization_id)


def greeting(actor: Actor, socket_id: str, last_event_id: str | None) -> dict[str, Any]:
    """What `connected` carries; `lastEventId` is where the client stands: all up to there it has been told."""
    return {
        "message": "Connected to DeviceHub.",
        "userId": actor.user_id,
        "organizationId": actor.organization_id,
        "socketId": socket_id,
        "serverTime": clock.rfc3339(clock.now()),
        "lastEventId": last_event_id,
    }


def actor_of(sid: str) -> Actor:
    """Whose socket it is."""
    return ours().connections[sid].actor


def join(sid: str, organization_id: str, seen: object = None) -> str | None:
    """Let a socket hear an organization: everything after the id that is returned.

    What it missed comes once the caller has called `catch_up`. Whether it may is the caller's to ask as well.
    """
    hub = ours()
    rooms.follow(sid, organization_id, wire.EVERYONE, wire.user(actor_of(sid).user_id))
    returning.note(sid, organization_id, seen)
    with hub.reader.lock:
        return returning.stand(sid, organization_id)


def leave(sid: str, organization_id: str) -> None:
    """Let a socket hear no longer what everyone in an organization hears."""
    rooms.leave(sid, organization_id, wire.EVERYONE)


def watch(sid: str, device_id: str) -> None:
    """Let a socket hear one device of its organization, even when it leaves the organization itself."""
    organization_id, audience = actor_of(sid).organization_id, wire.device(device_id)
    rooms.follow(sid, organization_id, audience)
    with ours().reader.lock:
        rooms.enter(sid, organization_id)


def unwatch(sid: str, device_id: str) -> None:
    """Take `watch` back."""
    for organization_id, audience in list(ours().connections[sid].audiences):
        if audience == wire.device(device_id):
            rooms.leave(sid, organization_id, audience)


def renew(sid: str, actor: Actor) -> str | None:
    """Give a socket a newer identity of the same user; its active organization may have become another."""
    connection = ours().connections[sid]
    before, connection.actor = connection.actor, actor
    if before.organization_id != actor.organization_id:
        for audience in (wire.EVERYONE, wire.user(actor.user_id)):
            rooms.leave(sid, before.organization_id, audience)
    return join(sid, actor.organization_id)


def forget(sid: str) -> None:
    """A socket has gone."""
    hub = ours()
    with hub.reader.lock:
        connection = hub.connections.pop(sid, None)
        if connection is None:
            return
        for organization_id, audience in connection.audiences:
            hub.reader.unfollow(organization_id, (sid, audience))
        for organization_id in connection.absences:
            hub.has_returned(sid, organization_id)
    if not hub.is_draining:  # then all are given up at once
        hub.seats.give_up(_seat(sid, connection.actor))
