"""A line to Redis that stays up: one pub/sub connection that comes back by itself after any loss.

redis-py's own PubSub reconnects behind the listener's back; but what was published meanwhile is gone, so the
listener has to know. Here it is told, and a server that hangs is noticed as surely as one that died.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, NamedTuple

import structlog
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

CONNECT_S = 1.0
RETRY_S = 0.5
IDLE_S = 1.0
DEAD_S = 3.0


class Heard(NamedTuple):
    """What came over the line: a message of a channel, a subscription that began, or news of the line itself.

    It is idle when there is nothing more to read for now.
    """

    kind: Literal["up", "subscribed", "message", "idle", "down"]
    channel: str = ""
    message: bytes = b""


class Line:
    """Listens in one thread or greenlet; channels are added and dropped from any other."""

    def __init__(self, url: str, *channels: str) -> None:
        self._pool: Any = ConnectionPool.from_url(
            url, socket_timeout=CONNECT_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0)
        )
        self._wanted = set(channels)
        self._connection: Any = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def add(self, channel: str) -> None:
        """Subscribe to a channel, now and after every loss; `listen` tells when it has begun."""
        with self._lock:
            self._wanted.add(channel)
            self._send("SUBSCRIBE", channel)

    def drop(self, channel: str) -> None:
        """Leave a channel."""
        with self._lock:
            self._wanted.discard(channel)
            self._send("UNSUBSCRIBE", channel)

    def restart(self) -> None:
        """Give this connection up and make another: the listener could not act on what it heard."""
        self._connection = None

    def close(self) -> None:
        """Let `listen` come to its end."""
        self._closed.set()
        with self._lock:
            if self._connection is not None:
                self._connection.disconnect()

    def listen(self) -> Iterator[Heard]:
        """Whatever is heard, for good; after a loss the line is tried again every RETRY_S."""
        said = False
        while not self._closed.is_set():
            connection = self._pool.make_connection()
            try:
                self._open(connection)
                said = False
                yield Heard("up")
                yield from self._read(connection)
            # A connection that another greenlet found broken, and closed, fails in many ways under its reader.
            except (RedisError, OSError, ValueError, AttributeError, TypeError) as error:
                if not said and not self._closed.is_set():
                    log.warning("redis.line_down", error=type(error).__name__)
                    said = True
            finally:
                self._connection = None
                with suppress(Exception):
                    connection.disconnect()
            yield Heard("down")
            self._closed.wait(RETRY_S)

    def _open(self, connection: Any) -> None:
        connection.connect()
        with self._lock:
            self._connection = connection
            if self._wanted:
                self._send("SUBSCRIBE", *self._wanted)

    def _send(self, *command: str) -> None:
        """Send over the connection there is; when that fails, its reader finds out and makes another."""
        if self._connection is not None:
            try:
                self._connection.send_command(*command, check_health=False)
            except (RedisError, OSError):
                self._connection = None

    def _read(self, connection: Any) -> Iterator[Heard]:
        heard_at, is_idle = time.monotonic(), False
        while self._connection is connection and not self._closed.is_set():
            if connection.can_read(timeout=IDLE_S if is_idle else 0):
                heard_at, is_idle = time.monotonic(), False
                yield from _understood(connection.read_response())
            elif not is_idle:
                is_idle = True
                yield Heard("idle")
            elif time.monotonic() - heard_at > DEAD_S:
                raise TimeoutError("Redis does not answer")
            else:
                with self._lock:
                    self._send("PING")


def _understood(reply: Any) -> Iterator[Heard]:
    if isinstance(reply, list) and reply[0] == b"message":
        yield Heard("message", reply[1].decode(), reply[2])
    elif isinstance(reply, list) and reply[0] == b"subscribe":
        yield Heard("subscribed", reply[1].decode())
