"""Live events: told once through the organization's log, heard by everyone who listens, in one order."""

import socket
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from flask import Flask

from devicehub.core import clock, crypto, metrics
from devicehub.core.actor import Actor
from devicehub.core.errors import Unavailable
from devicehub.core.events import Event
from devicehub.core.redis import Redis, RedisAway
from devicehub.extensions import socketio
from devicehub.realtime import transport, wire
from devicehub.realtime.line import Line
from devicehub.realtime.log import Entry, EventLog, News
from devicehub.realtime.reader import Reader
from devicehub.realtime.streams import RETRY, Stream


@dataclass(slots=True)
class Connection:
    """A socket of this process: whose it is, and which audiences of which organizations it is in."""

    actor: Actor
    audiences: set[tuple[str, str]] = field(default_factory=set)


class Realtime:
    """What one process knows of its listeners."""

    def __init__(self, redis: Redis, *, window: int) -> None:
        self.events = EventLog(redis, window=window)
        self.reader = Reader(Line(redis.url), self.events, self._deliver)
        self.connections: dict[str, Connection] = {}
        self.streams: defaultdict[str, set[Stream]] = defaultdict(set)
        self.is_draining = False

    def _deliver(self, organization_id: str, entry: Entry) -> None:
        payload = wire.payload_of(entry)
        rooms = wire.rooms_of(organization_id, entry, payload)
        socketio.server.emit(entry.event, payload, to=rooms, ignore_queue=True)
        if organization_id in self.streams:
            frame = wire.frame(entry.event, payload, entry.id)
            for stream in self.streams[organization_id]:
                if entry.audience in stream.audiences:
                    stream.put(frame)


_current: Realtime | None = None
_waiting: ContextVar[list[News] | None] = ContextVar("waiting", default=None)


def use(redis: Redis, *, window: int) -> None:
    """Bind this process's listeners to a Redis; `init_socketio` does, once an application."""
    global _current
    if _current is not None:
        _current.reader.stop()
    _current = Realtime(redis, window=window)


def _ours() -> Realtime:
    if _current is None:
        raise RuntimeError("realtime.use() has not been called")
    return _current


def start(app: Flask) -> None:
    """Begin to hear the log. Not at import, and not before a fork."""
    _ours().reader.start()


def drain() -> None:
    """End every stream and socket now and let nobody in: the process is about to end.

    It waits a moment for those who read slowly, so a signal handler has to leave it to a greenlet.
    """
    ours, engine = _ours(), socketio.server.eio
    ours.is_draining = True
    engine.transports = []  # engine.io refuses whoever comes now
    for stream in [stream for listening in ours.streams.values() for stream in listening]:
        stream.close()
    for client in list(engine.sockets.values()):
        client.close(wait=False, reason=engine.reason.SERVER_DISCONNECT)
    transport.hang_up_on_all(patience=1.0)


def is_draining() -> bool:
    """Whether this process is about to end."""
    return _ours().is_draining


def relay(event: Event) -> None:
    """Tell clients of an event; without Redis this process's own, and without an id. A sink of `emit`."""
    entry = wire.entry_of(event)
    if entry is None:
        return
    news = News(event.actor.organization_id, entry, event.data.get("once"))
    waiting = _waiting.get()
    if waiting is None:
        _publish([news])
    else:
        waiting.append(news)


@contextmanager
def together() -> Iterator[None]:
    """Publish what is emitted in this block at its end, all in one round trip."""
    waiting: list[News] = []
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        if waiting:
            _publish(waiting)


def _publish(news: list[News]) -> None:
    ours = _ours()
    try:
        ours.events.publish_all(news)
    except RedisAway:
        metrics.count_degraded("event_log")
        for one in news:
            ours.reader.tell_here(one.organization_id, one.entry)


def admit(sid: str, actor: Actor) -> None:
    """A socket is about to be let in: hear its organization first, so that it misses nothing after `connected`."""
    if _ours().is_draining:
        raise Unavailable()
    _ours().connections[sid] = Connection(actor)
    _follow(sid, actor.organization_id, wire.EVERYONE, wire.user(actor.user_id))


def welcome(sid: str) -> None:
    """The client knows that it is let in: `connected` comes first, then what happens from that moment on."""
    ours = _ours()
    connection = ours.connections[sid]
    with ours.reader.lock:
        for organization_id, audience in connection.audiences:
            _enter(sid, organization_id, audience)
        tell(sid, "connected", _greeting(connection.actor, sid))


def _greeting(actor: Actor, socket_id: str) -> dict[str, Any]:
    return {
        "message": "Connected to DeviceHub.",
        "userId": actor.user_id,
        "organizationId": actor.organization_id,
        "socketId": socket_id,
        "serverTime": clock.rfc3339(clock.now()),
        "lastEventId": _ours().reader.head(actor.organization_id),
    }


def actor_of(sid: str) -> Actor:
    """Whose socket it is."""
    return _ours().connections[sid].actor


def tell(sid: str, event: str, payload: dict[str, Any]) -> None:
    """Send an event to one socket of this process."""
    socketio.server.emit(event, payload, to=sid, ignore_queue=True)


def join(sid: str, organization_id: str) -> str | None:
    """Let a socket hear an organization: everything after the id that is returned.

    Whether it may is the caller's to ask.
    """
    ours = _ours()
    audiences = wire.EVERYONE, wire.user(actor_of(sid).user_id)
    _follow(sid, organization_id, *audiences)
    with ours.reader.lock:
        for audience in audiences:
            _enter(sid, organization_id, audience)
        return ours.reader.head(organization_id)


def leave(sid: str, organization_id: str) -> None:
    """Let a socket hear no longer what everyone in an organization hears."""
    _leave(sid, organization_id, wire.EVERYONE)


def watch(sid: str, device_id: str) -> None:
    """Let a socket hear one device of its organization, even when it leaves the organization itself."""
    organization_id, audience = actor_of(sid).organization_id, wire.device(device_id)
    _follow(sid, organization_id, audience)
    with _ours().reader.lock:
        _enter(sid, organization_id, audience)


def unwatch(sid: str, device_id: str) -> None:
    """Take `watch` back."""
    for organization_id, audience in list(_ours().connections[sid].audiences):
        if audience == wire.device(device_id):
            _leave(sid, organization_id, audience)


def renew(sid: str, actor: Actor) -> str | None:
    """Give a socket a newer identity of the same user; its active organization may have become another."""
    connection = _ours().connections[sid]
    before, connection.actor = connection.actor, actor
    if before.organization_id != actor.organization_id:
        for audience in (wire.EVERYONE, wire.user(actor.user_id)):
            _leave(sid, before.organization_id, audience)
    return join(sid, actor.organization_id)


def forget(sid: str) -> None:
    """A socket has gone."""
    ours = _ours()
    with ours.reader.lock:
        connection = ours.connections.pop(sid, None)
        for organization_id, audience in connection.audiences if connection else ():
            ours.reader.unfollow(organization_id, (sid, audience))


def _follow(sid: str, organization_id: str, *audiences: str) -> None:
    reader = _ours().reader
    with reader.lock:
        connection = _ours().connections[sid]
        for audience in audiences:
            connection.audiences.add((organization_id, audience))
            reader.follow(organization_id, (sid, audience))
    reader.settle(organization_id)


def _enter(sid: str, organization_id: str, audience: str) -> None:
    if sid in _ours().connections:  # or it went while its feed settled
        socketio.server.enter_room(sid, wire.room(organization_id, audience))


def _leave(sid: str, organization_id: str, audience: str) -> None:
    ours = _ours()
    with ours.reader.lock:
        ours.connections[sid].audiences.discard((organization_id, audience))
        ours.reader.unfollow(organization_id, (sid, audience))
        socketio.server.leave_room(sid, wire.room(organization_id, audience))


def stream(actor: Actor, connection: socket.socket | None) -> Iterator[bytes]:
    """What an SSE client is sent: `connected`, then every event of its organization as it happens."""
    if _ours().is_draining:
        raise Unavailable()
    return _stream(_ours(), actor, connection)


def _stream(ours: Realtime, actor: Actor, connection: socket.socket | None) -> Iterator[bytes]:
    organization_id = actor.organization_id
    made = Stream(frozenset((wire.EVERYONE, wire.user(actor.user_id))), connection)
    try:
        ours.reader.follow(organization_id, made)
        ours.reader.settle(organization_id)
        with ours.reader.lock:
            greeting = _greeting(actor, crypto.random_token(15))
            made.put(wire.frame("connected", greeting, greeting["lastEventId"]))
            ours.streams[organization_id].add(made)
        yield RETRY
        yield from made.frames()
    finally:
        with ours.reader.lock:
            ours.streams[organization_id].discard(made)
            if not ours.streams[organization_id]:
                del ours.streams[organization_id]
            ours.reader.unfollow(organization_id, made)
