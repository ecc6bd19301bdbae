"""What waits to be sent over one connection, in order, each frame whole.

Whoever posts never waits: the connection takes what it can at once, a greenlet of its own brings the rest, and
everything else that is posted meanwhile queues behind it. A client that falls too far behind is hung up on.
"""

import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Any

import structlog
from gevent.monkey import get_original

log = structlog.get_logger(__name__)

MOST_FRAMES = 1000
MOST_BYTES = 1 << 20

# Held for a moment only, and never over a switch of greenlets: the real lock is much the cheaper one.
_allocate_lock: Any = get_original("_thread", "allocate_lock")


class Outbox:
    """The way out of one connection; every byte that is sent over it has to go through here."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # gevent's own `send` waits where the one below it says that the connection is full.
        self._send = getattr(connection, "_sock", connection).send
        self._waiting: deque[bytes | memoryview] = deque()
        self._size = 0
        self._is_flushing = self._is_closed = False
        self._lock = _allocate_lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def post(self, frame: bytes) -> None:
        """Send a frame now, or queue what the connection does not take."""
        self.hold(frame)
        self.flush()

    def hold(self, frame: bytes) -> None:
        """Queue a frame for the next `flush`, so that several leave together."""
        with self._lock:
            if self._is_closed:
                return
            self._waiting.append(frame)
            self._size += len(frame)
            is_late = len(self._waiting) > MOST_FRAMES or (self._size > MOST_BYTES and len(self._waiting) > 1)
        if is_late:
            log.info("socket.too_slow", frames=len(self._waiting), size=self._size)
            self.hang_up()

    def flush(self) -> None:
        """Send what is queued as far as the connection takes it; the rest follows by itself."""
        with self._lock:
            if self._is_flushing or not self._waiting:
                return
            self._take(self._try(self._waiting[0] if len(self._waiting) == 1 else b"".join(self._waiting)))
            self._is_flushing = bool(self._waiting)
            is_full = self._is_flushing
        if is_full:
            threading.Thread(target=self._flush, daemon=True).start()

    def _try(self, data: bytes | memoryview) -> int:
        try:
            sent: int = self._send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:  # whoever reads from it finds out as well, and clears up
            self._is_closed = True
            return len(data)
        return sent

    def _take(self, sent: int) -> None:
        """Let go of what was sent."""
        self._size -= sent
        while sent and self._waiting:
            first = self._waiting.popleft()
            if sent < len(first):
                self._waiting.appendleft(memoryview(first)[sent:])
                return
            sent -= len(first)

    def _flush(self) -> None:
        while True:
            with self._lock:
                if self._is_closed or not self._waiting:
                    self._is_flushing = False
                    return
                first = self._waiting[0]
            try:
                sent = self._connection.send(first)  # waits, and others may post
            except OSError:
                self.hang_up()
                continue
            with self._lock:
                if not self._is_closed:
                    self._take(sent)

    def finish(self, patience: float) -> None:
        """Wait until everything was sent, for at most `patience` seconds."""
        deadline = time.monotonic() + patience
        while self._waiting and time.monotonic() < deadline:
            time.sleep(0.01)

    def hang_up(self) -> None:
        """Wake whoever reads or writes; nothing more goes either way."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            self._size = 0
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
