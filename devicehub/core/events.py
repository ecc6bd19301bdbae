"""`emit`: say that something happened, after it was written. What listens hears it here and nowhere else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from devicehub.core import clock, crypto, mongo
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """A thing that happened, named `noun.past_tense`, by whom, and its facts (JSON-ready values).

    Told twice under one `id`, it happened once.
    """

    name: str
    actor: Actor
    data: Mapping[str, Any]
    at: datetime = field(default_factory=clock.now)
    id: str = field(default_factory=lambda: crypto.random_token(12))


Sink = Callable[[Event], None]
Keeper = Callable[[Sequence[Event]], None]
_sinks: list[Sink] = []
_keepers: list[Keeper] = []
_together: ContextVar[list[Event] | None] = ContextVar("events_together", default=None)


def attach(*sinks: Sink) -> None:
    """Set who listens, in this order, replacing whoever did; `app.py` does it once."""
    _sinks[:] = sinks


def attach_keepers(*keepers: Keeper) -> None:
    """Set who hears events after the sinks, and many at once where they are told `together`."""
    _keepers[:] = keepers


def emit(name: str, actor: Actor, /, **data: Any) -> None:
    """Say that something happened. The write is done already: a sink's failure is logged and never undoes it."""
    tell(Event(name, actor, data))


def tell(event: Event, *, must: bool = False) -> None:
    """Tell every sink in turn of an event.

    With `must` the absence of a database that any of them needed is raised at the end: whoever told notes that it
    is still to be told, and tells it again under the same id.
    """
    away: Exception | None = None
    for sink in _sinks:
        try:
            sink(event)
        except Exception as error:
            away = error if _is_away(error) else away
            log.exception(
                "event.sink_failed", event_name=event.name, sink=getattr(sink, "__qualname__", repr(sink))
            )
    waiting = _together.get()
    if waiting is None:
        _keep([event], must=must)
    else:
        waiting.append(event)
    if must and away is not None:
        raise away


@contextmanager
def together() -> Iterator[None]:
    """Let keepers hear what is told in this block at its end, all at once.

    Raises the absence of a database they needed: whoever tells numbered things leaves them untold, and they are
    told again.
    """
    waiting: list[Event] = []
    token = _together.set(waiting)
    try:
        yield
    finally:
        _together.reset(token)
    if waiting:
        _keep(waiting, must=True)


def _keep(told: Sequence[Event], *, must: bool) -> None:
    for keep in _keepers:
        try:
            keep(told)
        except Exception as error:
            if must and _is_away(error):
                raise
            log.exception("event.keeper_failed", event_names=sorted({event.name for event in told}))


def _is_away(error: Exception) -> bool:
    return isinstance(error, DatabaseUnavailable) or mongo.is_outage(error)
