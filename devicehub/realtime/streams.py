"""SSE streams: a bounded queue each, filled by the reader and emptied by the request that opened it."""

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import structlog

from devicehub.core import crypto
from devicehub.core.actor import Actor
from devicehub.realtime import transport

log = structlog.get_logger(__name__)

MOST_EVENTS = 1000
MOST_BYTES = 1 << 20
COMMENT_S = 15.0
RETRY = b"retry: 3000\n\n"
COMMENT = b": still here\n\n"


class Stream:
    """One client's stream. It ends when the client is gone, fell too far behind, or is told to go."""

    def __init__(self, actor: Actor, audiences: frozenset[str], connection: socket.socket | None = None) -> None:
        self.id = crypto.random_token(15)
        self.actor = actor
        self.audiences = audiences
        self._connection = connection
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._is_closed = self._is_finishing = False
        self._changed = threading.Condition()

    @property
    def has_ended(self) -> bool:
        """Whether nothing new comes any more."""
        return self._is_closed or self._is_finishing

    @property
    def is_alone(self) -> bool:
        """Whether the client has left; it does not say so, and a stream that tells little would not notice."""
        return transport.has_left(self._connection)

    def put(self, frame: bytes) -> None:
        """Queue a frame; a client that is too far behind is cut off, and comes back by itself."""
        with self._changed:
            if self.has_ended:
                return
            self._frames.append(frame)
            self._size += len(frame)
            is_late = len(self._frames) > MOST_EVENTS or self._size > MOST_BYTES
            self._changed.notify()
        if is_late:
            log.info("stream.too_slow", events=len(self._frames), size=self._size)
            self.close()

    def finish(self, frame: bytes) -> None:
        """End the stream once it was sent what waits, and this last frame."""
        self.put(frame)
        with self._changed:
            self._is_finishing = True
            self._changed.notify()

    def close(self) -> None:
        """End the stream at once, even while a write to a client that does not read is waiting."""
        with self._changed:
            self._is_closed = True
            self._frames.clear()
            self._changed.notify()
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def frames(self) -> Iterator[bytes]:
        """What is to be sent, as it comes, with a comment every COMMENT_S."""
        comment_at = time.monotonic() + COMMENT_S
        while not self._is_closed:
            frame = self._next(comment_at - time.monotonic())
            if frame is not None:
                yield frame
            elif self._is_finishing:
                return
            elif time.monotonic() >= comment_at:
                if transport.has_left(self._connection):
                    return
                comment_at = time.monotonic() + COMMENT_S
                yield COMMENT

    def _next(self, patience: float) -> bytes | None:
        with self._changed:
            if not self._frames and not self.has_ended and patience > 0:
                self._changed.wait(patience)
            if not self._frames or (patience <= 0 and not self._is_finishing):
                return None
            frame = self._frames.popleft()
            self._size -= len(frame)
            return frame
