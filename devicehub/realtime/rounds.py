"""The round a process makes every second: who may still listen, who sits where, how many there are."""

import threading
import time
from collections.abc import Iterator

import structlog

from devicehub.core.redis import RedisAway
from devicehub.realtime import ends
from devicehub.realtime.hub import Hub
from devicehub.realtime.seats import LIFE_S, Seat

log = structlog.get_logger(__name__)

ROUND_S = 1.0


def keep(hub: Hub) -> None:
    """Begin, in a thread (a greenlet where threads are patched)."""
    threading.Thread(target=_run, args=(hub,), name="realtime-rounds", daemon=True).start()


def _run(hub: Hub) -> None:
    number, due = 0, time.monotonic() + ROUND_S
    while not hub.is_draining:
        hub.is_called.wait(max(0.0, due - time.monotonic()))
        try:
            act(hub)
            if time.monotonic() >= due:
                number, due = number + 1, time.monotonic() + ROUND_S
                make(hub, number)
        except RedisAway:
            continue  # what this round was to renew has time until the next
        except Exception:
            log.exception("realtime.round_failed")


def act(hub: Hub) -> None:
    """What was called for meanwhile."""
    hub.is_called.clear()
    while hub.control:
        ends.act_on(hub, hub.control.popleft())


def make(hub: Hub, number: int) -> None:
    """One round."""
    for streams in list(hub.streams.values()):
        for stream in list(streams):
            if stream.is_alone:
                stream.close()
    ends.review_some(hub, number)
    if number % (LIFE_S // 3) == 0:
        hub.seats.renew(seats(hub))
    hub.census.take(hub.count())


def seats(hub: Hub) -> Iterator[Seat]:
    """The seats of this process's listeners."""
    for sid, connection in list(hub.connections.items()):
        yield "sockets", connection.actor.user_id, sid
    for streams in list(hub.streams.values()):
        for stream in list(streams):
            yield "streams", stream.actor.user_id, stream.id
