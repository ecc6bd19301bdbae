"""The connections under Socket.IO and SSE, and what their libraries leave undone.

Under gevent, simple-websocket as it comes sends a frame with one `send`, which may send half of it and lose the
rest; it reads on while nobody takes what it read; and a client that vanished holds its greenlets for good. This
is the one module that knows engine.io's driver for it; `tests/realtime/test_transport.py` fails when that changes.
"""

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from simple_websocket import ConnectionClosed
from wsproto.utilities import ProtocolError

from devicehub.extensions import socketio

LARGEST_FRAME = 2 << 20
MOST_UNREAD = 1 << 20
SILENCE_S = 30

_SHOWN_AS = ("gunicorn.socket", "werkzeug.socket")
_ESTABLISHED = 1
_PACKET_TYPES = tuple("0123456")
_conversations: set["CarefulSocket"] = set()


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
    """A socket that sends the whole of what it is given, one sender at a time, and reads no faster than needed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self.inbox: list[str | bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def send(self, data: bytes) -> int:
        with self._sending:
            self._connection.sendall(data)
        return len(data)

    def recv(self, size: int) -> bytes:
        while sum(map(len, self.inbox)) > MOST_UNREAD:
            time.sleep(0.01)
        data: bytes = self._connection.recv(size)
        return data

    def hang_up(self) -> None:
        """Wake whoever reads or writes; nothing more goes either way."""
        self.inbox = []
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class WebSocket(SimpleWebSocketWSGI):
    """engine.io's WebSocket over simple-websocket, on a careful socket."""

    def __init__(self, handler: Any, server: Any) -> None:
        threads = {"thread_class": server._async["thread"], "event_class": server._async["event"]}
        super().__init__(self._converse, server, max_message_size=LARGEST_FRAME, **threads)
        self._answer = handler
        self._connection = CarefulSocket(None)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._connection = CarefulSocket(client_socket(environ))
        shown = {name: self._connection for name in _SHOWN_AS if environ.get(name)}
        try:
            return super().__call__({**environ, **shown}, start_response)
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
        while (data := super().wait()) is not None:
            if isinstance(data, bytes) or data.startswith(_PACKET_TYPES):
                return data
        return None

    def close(self) -> None:
        """Say goodbye and hang up, without waiting for an answer that may not come."""
        with suppress(OSError, ProtocolError, ConnectionClosed):
            super().close()
        self._connection.hang_up()


def client_of(sid: str) -> Any:
    """engine.io's end of a socket of this process; None when it has gone."""
    engine_sid = socketio.server.manager.eio_sid_from_sid(sid, "/")
    return socketio.server.eio.sockets.get(engine_sid)


def wait_for_room(sid: str, most: int) -> bool:
    """Wait until at most `most` messages wait for a client; false when it has gone, or does not read."""
    deadline = time.monotonic() + SILENCE_S
    while (client := client_of(sid)) is not None and not client.closed and time.monotonic() < deadline:
        if client.queue.qsize() <= most:
            return True
        time.sleep(0.02)
    return False


def hang_up(sid: str) -> None:
    """End a socket at once, whatever still waits for it."""
    client = client_of(sid)
    if client is not None:
        client.close(wait=False, abort=True, reason=socketio.server.eio.reason.SERVER_DISCONNECT)


def hang_up_on_all(*, patience: float) -> None:
    """End every WebSocket that has not ended by itself within `patience` seconds."""
    deadline = time.monotonic() + patience
    while _conversations and time.monotonic() < deadline:
        time.sleep(0.02)
    for connection in list(_conversations):
        connection.hang_up()
