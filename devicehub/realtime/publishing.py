"""What a process tells those who listen, wherever they are; a worker does so without a listener of its own.

So this knows neither sockets nor streams, nor the libraries they take.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from devicehub.core import metrics
from devicehub.core.events import Event
from devicehub.core.redis import Redis, RedisAway
from devicehub.realtime import wire
from devicehub.realtime.log import Entry, EventLog, News

_waiting: ContextVar[list[News] | None] = ContextVar("waiting", default=None)


class Listeners(Protocol):
    """Those of this process, told directly while Redis is away."""

    def tell(self, organization_id: str, entry: Entry) -> None: ...
    def call(self, message: bytes) -> None: ...


class Publisher:
    """The way to every process's listeners: the log of events, and a channel for control messages."""

    def __init__(self, redis: Redis, *, window: int) -> None:
        self.redis = redis
        self.events = EventLog(redis, window=window)
        # Channels, unlike keys, are shared by all databases of a Redis server.
        self.control_channel = f"control:{redis.pool.connection_kwargs.get('db') or 0}"
        self.listeners: Listeners | None = None

    def publish(self, news: list[News]) -> None:
        """Tell everyone; without Redis this process's own, and without an id."""
        try:
            self.events.publish_all(news)
        except RedisAway:
            metrics.count_degraded("event_log")
            if self.listeners is not None:
                for one in news:
                    self.listeners.tell(one.organization_id, one.entry)

    def call(self, message: bytes) -> None:
        """Have a control message acted on by every process; without Redis, by this one."""
        try:
            self.redis.call(lambda client: client.publish(self.control_channel, message), loses=False)
        except RedisAway:
            if self.listeners is not None:
                self.listeners.call(message)


_current: Publisher | None = None


def use(publisher: Publisher) -> None:
    """Make `publisher` the process's own; `create_base` does, once."""
    global _current
    _current = publisher


def current() -> Publisher:
    """The process's publisher."""
    if _current is None:
        raise RuntimeError("publishing.use() has not been called")
    return _current


def relay(event: Event) -> None:
    """Tell clients of an event. A sink of `emit`."""
    entry = wire.entry_of(event)
    if entry is None:
        return
    news = News(event.actor.organization_id, entry, event.data.get("once"))
    waiting = _waiting.get()
    if waiting is None:
        current().publish([news])
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
            current().publish(waiting)
