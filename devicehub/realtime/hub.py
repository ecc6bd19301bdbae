"""What one process knows of its listeners, and how it hands them what it hears."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from devicehub.core import crypto
from devicehub.core.actor import Actor, Role
from devicehub.extensions import socketio
from devicehub.realtime import transport, wire
from devicehub.realtime.census import Census
from devicehub.realtime.line import Line
from devicehub.realtime.log import Entry
from devicehub.realtime.publishing import Publisher
from devicehub.realtime.reader import Reader
from devicehub.realtime.seats import Kind, Seats
from devicehub.realtime.streams import MOST_EVENTS, Stream

Memberships = Callable[[Actor], Mapping[str, Role]]


@dataclass(slots=True)
class Absence:
    """What a socket has missed of an organization: after `seen`, up to `upto`, and what happens until it is told.

    `refusal` says why it cannot be told.
    """

    seen: str
    upto: str | None
    refusal: str | None
    held: deque[Entry] = field(default_factory=deque)
    is_being_told: bool = False


@dataclass(slots=True)
class Connection:
    """A socket of this process: whose it is, and which audiences of which organizations it is in."""

    actor: Actor
    audiences: set[tuple[str, str]] = field(default_factory=set)
    absences: dict[str, Absence] = field(default_factory=dict)

    def hears(self, organization_id: str, entry: Entry) -> bool:
        """Whether an entry is for this socket's ears, as far as it listens now."""
        audiences = wire.audiences_of(entry, wire.payload_of(entry))
        return any((organization_id, audience) in self.audiences for audience in audiences)

    @property
    def organizations(self) -> set[str]:
        return {self.actor.organization_id} | {organization_id for organization_id, _ in self.audiences}


class Hub:
    """The listeners of one process: its sockets, its streams, and the reader that hears for them."""

    def __init__(self, publisher: Publisher, *, memberships: Memberships) -> None:
        redis = publisher.redis
        self.id = crypto.random_token(9)
        self.memberships = memberships
        self.events, self.control_channel = publisher.events, publisher.control_channel
        self.control: deque[bytes] = deque()
        self.is_called = threading.Event()
        line = Line(redis.url, self.control_channel)
        self.reader = Reader(
            line,
            self.events,
            self._deliver,
            others=self._hear_control,
            rest=transport.flush,
            lost=self._tell_loss,
        )
        self.connections: dict[str, Connection] = {}
        self.returning: defaultdict[str, dict[str, Connection]] = defaultdict(dict)
        self.streams: defaultdict[str, set[Stream]] = defaultdict(set)
        self.suspects: set[Actor] = set()  # found to have lost something, before they were told of it
        self.seats, self.census = Seats(redis), Census(redis, self.id)
        self.is_draining = False

    def seats_of(self, kind: Kind, user_id: str) -> int:
        """How many connections of one kind a user has here."""
        actors = (
            [connection.actor for connection in self.connections.values()]
            if kind == "sockets"
            else [stream.actor for streams in self.streams.values() for stream in streams]
        )
        return sum(actor.user_id == user_id for actor in actors)

    def count(self) -> dict[str, dict[str, int]]:
        """How many listen here to each organization that is somebody's active one."""
        sockets = Counter(connection.actor.organization_id for connection in list(self.connections.values()))
        streams = Counter({one: len(listening) for one, listening in list(self.streams.items())})
        return {one: {"sockets": sockets[one], "streams": streams[one]} for one in sockets.keys() | streams.keys()}

    def has_returned(self, sid: str, organization_id: str) -> None:
        """A socket was told what it missed of an organization, or has gone."""
        waiting = self.returning.get(organization_id, {})
        waiting.pop(sid, None)
        if not waiting:
            self.returning.pop(organization_id, None)

    def tell(self, organization_id: str, entry: Entry) -> None:
        """Tell the listeners here of what could not be published."""
        self.reader.tell_here(organization_id, entry)

    def call(self, message: bytes) -> None:
        """Have a control message acted on here, soon and elsewhere than in the reader's thread."""
        self.control.append(message)
        self.is_called.set()

    def _hear_control(self, channel: str, message: bytes) -> None:
        if channel == self.control_channel:
            self.call(message)

    def _deliver(self, organization_id: str, entry: Entry) -> None:
        transport.gather()
        payload = wire.payload_of(entry)
        audiences = wire.audiences_of(entry, payload)
        rooms = [wire.room(organization_id, audience) for audience in audiences]
        socketio.server.emit(entry.event, payload, to=rooms, ignore_queue=True)
        for sid, connection in list(self.returning.get(organization_id, {}).items()):
            self._hold(sid, connection, organization_id, entry)
        if organization_id in self.streams:
            frame = wire.frame(entry.event, payload, entry.id)
            for stream in self.streams[organization_id]:
                if entry.audience in stream.audiences:
                    stream.put(frame)

    def _tell_loss(self, organization_id: str) -> None:
        """Tell who listens that something cannot be told any more; who is still being told comes back for it."""
        head = self.reader.head(organization_id)
        told = {"organizationId": organization_id, "reason": "not_kept", "lastEventId": head}
        audiences = {one for listening in self.connections.values() for one in listening.audiences}
        rooms = [wire.room(of, audience) for of, audience in audiences if of == organization_id]
        if rooms:
            socketio.server.emit("resync-required", told, to=rooms, ignore_queue=True)
        for sid in list(self.returning.get(organization_id, {})):
            transport.hang_up(sid)
        for stream in self.streams.get(organization_id, ()):
            stream.put(wire.frame("resync-required", told, head))

    def _hold(self, sid: str, connection: Connection, organization_id: str, entry: Entry) -> None:
        """Keep an entry for a socket that is still being told what it missed."""
        held = connection.absences[organization_id].held
        held.append(entry)
        if len(held) > MOST_EVENTS:
            transport.hang_up(sid)


_current: Hub | None = None


def use(publisher: Publisher, *, memberships: Memberships) -> None:
    """Let this process have listeners; `init_socketio` does, once an application.

    `memberships` says which organizations a caller may hear now, or raises why none any more.
    """
    global _current
    if _current is not None:
        _current.reader.stop()
    _current = publisher.listeners = Hub(publisher, memberships=memberships)


def ours() -> Hub:
    """This process's listeners."""
    if _current is None:
        raise RuntimeError("hub.use() has not been called")
    return _current
