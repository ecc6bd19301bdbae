"""The connections under Socket.IO and SSE, and what their libraries leave undone.

Under gevent, simple-websocket as it comes sends a frame with one `send`, which may send half of it and lose the
rest; it reads on while nobody takes what it read; and a client that vanished holds its greenlets for good. And
engine.io wakes a greenlet for each client and frames each packet for each anew. This is the one module that knows
their insides; `tests/realtime/test_transport.py` fails when those change.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from queue import Empty
from typing import Any

import structlog
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from engineio.packet import MESSAGE, Packet
from gevent.monkey import is_module_patched
from simple_websocket import ConnectionClosed
from wsproto.utilities import ProtocolError

from devicehub.extensions import socketio
from devicehub.realtime.outbox import MOST_BYTES, MOST_FRAMES, Outbox

log = structlog.get_logger(__name__)

LARGEST_FRAME = 2 << 20
MOST_UNREAD = 1 << 20
SILENCE_S = 30
PATIENCE_S = 1.0
# While so much waits for a client it is told no more of what it missed.
MANY, MUCH = 100, MOST_BYTES // 2
# python-engineio's client ends its session when one answer to its poll holds more.
MOST_AT_ONCE = 16

_SHOWN_AS = ("gunicorn.socket", "werkzeug.socket")
_ESTABLISHED = 1
_PACKET_TYPES = tuple("0123456")
_conversations: set["CarefulSocket"] = set()
_held: set[Outbox] = set()
_burst = threading.Event()


def client_socket(environ: Mapping[str, Any]) -> socket.socket | None:
    """The client's connection, where the server in front of the application shows it.

    The kernel is asked to give it up when the client acknowledges nothing, or takes nothing, for SILENCE_S.
    """
    connection: Any = next((environ[name] for name in _SHOWN_AS if environ.get(name)), None)
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)
    return connection


def has_left(connection: socket.socket | None) -> bool:
    """Whether the client has closed its side; a first write to it would still succeed and tell nothing."""
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED
    except OSError:
        return False


class CarefulSocket:
    """A socket that sends the whole of what it is given, in order, and reads no faster than needed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.outbox = Outbox(connection)
        self.inbox: list[str | bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def send(self, data: bytes) -> int:
        self.outbox.post(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        while sum(map(len, self.inbox)) > MOST_UNREAD:
            time.sleep(0.01)
        data: bytes = self._connection.recv(size)
        return data

    def hang_up(self) -> None:
        """Wake whoever reads or writes; nothing more goes either way."""
        self.inbox = []
        self.outbox.hang_up()


class Lane:
    """Mixed into engine.io's queue of what one client is to be sent.

    Once the client's WebSocket is open the queue is passed by: a packet goes straight to the outbox, as the frame
    that is made once for everybody. What is queued is bounded too: a client that does not come for it is let go.
    engine.io waits for the first packet of an answer and takes with it what is there: no more than MOST_AT_ONCE.
    """

    outbox: Outbox | None = None
    size = taken = 0

    @property
    def direct(self) -> Outbox | None:
        """Where packets may go at once: nothing that came before them is still queued."""
        return self.outbox if self.empty() else None  # type: ignore[attr-defined]

    def put(self, packet: Packet | None, *args: Any, **kwargs: Any) -> None:
        if packet is not None:
            if (outbox := self.direct) is not None:
                outbox.post(frame_of(packet))
                return
            self.size += _size(packet)
            if self.qsize() >= MOST_FRAMES or (self.size > MOST_BYTES and not self.empty()):  # type: ignore[attr-defined]
                _let_go(self)
                return
        super().put(packet, *args, **kwargs)  # type: ignore[misc]

    def get(self, block: bool = True, timeout: float | None = None) -> Packet | None:
        if block:
            self.taken = 0
        elif self.taken >= MOST_AT_ONCE:
            raise Empty
        while True:
            try:
                packet: Packet | None = super().get(block, timeout)  # type: ignore[misc]
            except Empty:
                # engine.io takes a queue that stays empty for a client that has gone; not where it is passed by.
                if not block or self.outbox is None:
                    raise
            else:
                self.size -= _size(packet)
                self.taken += 1
                return packet


def frame_of(packet: Packet) -> bytes:
    """A packet as a WebSocket frame; made once, however many are sent it."""
    frame: bytes | None = getattr(packet, "frame", None)
    if frame is None:
        encoded = packet.encode()
        payload, kind = (encoded, 0x82) if isinstance(encoded, bytes) else (encoded.encode(), 0x81)
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", kind, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", kind, 126, size)
        else:
            head = struct.pack(">BBQ", kind, 127, size)
        frame = packet.frame = head + payload
    return frame


def _size(packet: Packet | None) -> int:
    data = None if packet is None else packet.data
    return len(data) if isinstance(data, str | bytes) else 0


def _let_go(lane: Lane) -> None:
    """End the client whose queue is full, elsewhere: whoever has just put something into it must not wait."""
    client = next((one for one in list(socketio.server.eio.sockets.values()) if one.queue is lane), None)
    if client is not None and not client.closed:
        log.info("socket.too_slow", packets=client.queue.qsize(), size=lane.size)
        threading.Thread(target=_end_at_once, args=(client,), daemon=True).start()


def send_all(engine_sids: Iterable[str], message: str) -> None:
    """Send each of these clients a message, framed once; those that poll, or are upgrading, find it queued.

    Within a burst it leaves together with what follows, at `flush`.
    """
    engine = socketio.server.eio
    packet = Packet(MESSAGE, message)
    frame, clients = frame_of(packet), engine.sockets
    for sid in engine_sids:
        client = clients.get(sid)
        if client is None or client.closed:
            continue
        outbox = client.queue.direct
        if outbox is not None:
            outbox.hold(frame)
            _held.add(outbox)
        else:
            engine.send_packet(sid, packet)
    if not _burst.is_set():
        _flush_held()


def gather() -> None:
    """A burst of messages begins: let them leave together; whoever says so has to `flush` soon."""
    _burst.set()


def flush() -> None:
    """The burst is over, or long enough."""
    _burst.clear()
    _flush_held()


def _flush_held() -> None:
    while _held:
        _held.pop().flush()


def install(engine: Any) -> None:
    """Have an engine.io server use what is in this module; it looks its parts up by name."""
    lanes = type("Lane", (Lane, engine._async["queue"]), {})
    engine._async = {**engine._async, "websocket": WebSocket, "queue": lanes}


class WebSocket(SimpleWebSocketWSGI):
    """engine.io's WebSocket over simple-websocket, on a careful socket."""

    def __init__(self, handler: Any, server: Any) -> None:
        threads = {"thread_class": server._async["thread"], "event_class": server._async["event"]}
        super().__init__(self._converse, server, max_message_size=LARGEST_FRAME, **threads)
        self._answer = handler
        self._client = handler.__self__
        self._connection: CarefulSocket

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._connection = CarefulSocket(client_socket(environ))
        shown: dict[str, Any] = {name: self._connection for name in _SHOWN_AS if environ.get(name)}
        # No compression: it would be done for each client anew, and keep its dictionary for each.
        plain = {name: value for name, value in environ.items() if name != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
        try:
            return super().__call__(plain | shown, start_response)
        except ProtocolError:  # of the handshake: not a WebSocket client
            start_response("400 Bad Request", [("Content-Type", "text/plain")])
            return [b"Not a WebSocket handshake."]

    def _converse(self, _: Any) -> Any:
        self._connection.inbox = self.ws.input_buffer
        _conversations.add(self._connection)
        try:
            return self._answer(self)
        finally:
            _conversations.discard(self._connection)
            self._connection.hang_up()

    def wait(self) -> str | bytes | None:
        """The next frame that is an Engine.IO packet; others are nothing, and end nothing."""
        # Under threads what is taken from the queue could be overtaken before it is sent.
        if self._client.upgraded and is_module_patched("socket"):
            self._client.queue.outbox = self._connection.outbox
        while (data := super().wait()) is not None:
            if isinstance(data, bytes) or data.startswith(_PACKET_TYPES):
                return data
        return None

    def close(self) -> None:
        """Say goodbye and hang up, once what waits was sent; without waiting for an answer that may not come."""
        with suppress(OSError, ProtocolError, ConnectionClosed):
            super().close()
        self._connection.outbox.finish(PATIENCE_S)
        self._connection.hang_up()


def client_of(sid: str) -> Any:
    """engine.io's end of a socket of this process; None when it has gone."""
    engine_sid = socketio.server.manager.eio_sid_from_sid(sid, "/")
    return socketio.server.eio.sockets.get(engine_sid)


def wait_for_room(sid: str) -> bool:
    """Wait until little waits for a client; false when it has gone, or takes nothing for SILENCE_S."""
    deadline = time.monotonic() + SILENCE_S
    while (client := client_of(sid)) is not None and not client.closed and time.monotonic() < deadline:
        lane = client.queue
        if lane.qsize() + len(lane.outbox or ()) <= MANY and lane.size <= MUCH:
            return True
        time.sleep(0.02)
    return False


def hang_up(sid: str) -> None:
    """End a socket at once, whatever still waits for it."""
    client = client_of(sid)
    if client is not None:
        _end_at_once(client)


def _end_at_once(client: Any) -> None:
    if client.queue.outbox is not None:
        client.queue.outbox.hang_up()
    client.close(wait=False, abort=True, reason=socketio.server.eio.reason.SERVER_DISCONNECT)


def wait_until_fetched(*, patience: float) -> None:
    """Wait until the clients that poll have come for all they were told, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        clients = list(socketio.server.eio.sockets.values())
        if all(client.closed or client.queue.empty() for client in clients):
            return
        time.sleep(0.02)


def hang_up_on_all(*, patience: float) -> None:
    """End every WebSocket that has not ended by itself within `patience` seconds."""
    deadline = time.monotonic() + patience
    while _conversations and time.monotonic() < deadline:
        time.sleep(0.02)
    for connection in list(_conversations):
        connection.hang_up()
