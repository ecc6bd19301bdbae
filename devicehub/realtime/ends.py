"""The ends of live connections: of a token, a session, a membership; in every process, within 5 s.

What ends something is a *hint*, told over a channel to all processes: they ask at once whether those it concerns
are still who they were. And they ask about everyone in turn, every few seconds, so that a hint that was lost costs
time only. Nobody is asked about twice in a round, however many connections they have.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import orjson
import structlog

from devicehub.core import clock, mongo
from devicehub.core.actor import Actor, Role
from devicehub.core.errors import DeviceHubError
from devicehub.extensions import socketio
from devicehub.realtime import rooms, transport, wire
from devicehub.realtime.hints import CONCERNED, Listener
from devicehub.realtime.hub import Connection, Hub
from devicehub.realtime.streams import Stream

log = structlog.get_logger(__name__)

# Rounds, a second each, until everyone was asked about.
PERIOD = 3
PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class SocketListener:
    sid: str
    connection: Connection

    @property
    def actor(self) -> Actor:
        return self.connection.actor

    @property
    def organizations(self) -> set[str]:
        return self.connection.organizations

    def end(self, event: str, reason: str) -> None:
        client = transport.client_of(self.sid)
        rooms.tell(self.sid, event, {"reason": reason})
        socketio.server.disconnect(self.sid, ignore_queue=True)
        if client is not None:
            _later(lambda: client.close(wait=False, reason=socketio.server.eio.reason.SERVER_DISCONNECT))

    def leave(self, organization_id: str, reason: str) -> None:
        rooms.expel(self.sid, organization_id)
        rooms.tell(self.sid, "left-organization", {"organizationId": organization_id, "reason": reason})

    def become(self, actor: Actor) -> None:
        self.connection.actor = actor


@dataclass(frozen=True, slots=True)
class StreamListener:
    stream: Stream

    @property
    def actor(self) -> Actor:
        return self.stream.actor

    @property
    def organizations(self) -> set[str]:
        return {self.stream.actor.organization_id}

    def end(self, event: str, reason: str) -> None:
        self.stream.finish(wire.frame(event, {"reason": reason}, None))
        _later(self.stream.close)

    def leave(self, organization_id: str, reason: str) -> None:
        """A stream hears one organization, and ends with it."""

    def become(self, actor: Actor) -> None:
        self.stream.actor = actor


def _later(do: Callable[[], None]) -> None:
    """Once the last words had time to arrive."""
    timer = threading.Timer(PATIENCE_S, do)
    timer.daemon = True
    timer.start()


def act_on(hub: Hub, message: bytes) -> None:
    """Ask about those whom a hint concerns."""
    hint = orjson.loads(message)
    name, facts = hint["event"], hint["facts"]
    is_concerned = CONCERNED[name]
    reason = facts.get("reason") or name.replace(".", "_")
    review(hub, [one for one in listeners(hub) if is_concerned(one, facts)], reason)


def listeners(hub: Hub) -> Iterable[Listener]:
    """Everyone of this process."""
    for sid, connection in list(hub.connections.items()):
        yield SocketListener(sid, connection)
    for streams in list(hub.streams.values()):
        yield from (StreamListener(stream) for stream in list(streams) if not stream.has_ended)


def review_some(hub: Hub, number: int) -> None:
    """Ask about a part of everyone; PERIOD rounds make the whole. A token's end is looked for in each."""
    moment = clock.now()
    for one in listeners(hub):
        if one.actor.token_ends_at is not None and one.actor.token_ends_at <= moment:
            one.end("token-expired", "token_expired")
    # The hint comes a moment after what it tells of, and knows the reason: it has a round's time to come first.
    review(hub, [one for one in listeners(hub) if one.actor in hub.suspects], "ended")
    due = [
        one
        for one in listeners(hub)
        if hash((one.actor.user_id, one.actor.session_id)) % PERIOD == number % PERIOD
    ]
    hub.suspects.clear()
    for actor, theirs, roles in _asked(hub, due):
        if _has_lost(theirs, roles):
            hub.suspects.add(actor)
        else:
            _adjust(actor, theirs, roles, "ended")


def review(hub: Hub, concerned: Iterable[Listener], reason: str) -> None:
    """Ask once about each caller, and end or change what their connections have no right to any more."""
    for actor, theirs, roles in _asked(hub, concerned):
        _adjust(actor, theirs, roles, reason)


def _asked(hub: Hub, concerned: Iterable[Listener]) -> Iterator[tuple[Actor, list[Listener], Mapping[str, Role]]]:
    """Each caller, with their connections and their roles now: none if they are nobody any more."""
    by_actor: defaultdict[Actor, list[Listener]] = defaultdict(list)
    for one in concerned:
        by_actor[one.actor].append(one)
    for actor, theirs in by_actor.items():
        try:
            roles = hub.memberships(actor)
        except DeviceHubError as error:
            if error.status == 401:
                yield actor, theirs, {}
        except Exception as error:
            if not mongo.is_outage(error):  # while nobody can tell, they stay
                log.exception("realtime.review_failed")
        else:
            yield actor, theirs, roles


def _has_lost(theirs: list[Listener], roles: Mapping[str, Role]) -> bool:
    return any(one.actor.organization_id not in roles or one.organizations - roles.keys() for one in theirs)


def _end(actor: Actor, theirs: list[Listener], reason: str) -> None:
    for one in theirs:
        if one.actor == actor:  # and was not renewed meanwhile
            one.end("session-ended", reason)


def _adjust(actor: Actor, theirs: list[Listener], roles: Mapping[str, Role], reason: str) -> None:
    role = roles.get(actor.organization_id)
    if role is None:
        _end(actor, theirs, reason)
        return
    for one in theirs:
        if role != actor.role and one.actor == actor:
            one.become(replace(actor, role=role))
        for organization_id in one.organizations - roles.keys():
            one.leave(organization_id, reason)
