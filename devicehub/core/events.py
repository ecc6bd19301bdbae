"""`emit`: say that something happened, after it was written. What listens hears it here and nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from devicehub.core import clock, crypto
from devicehub.core.actor import Actor

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
_sinks: list[Sink] = []


def attach(*sinks: Sink) -> None:
    """Set who listens, in this order, replacing whoever did; `app.py` does it once."""
    _sinks[:] = sinks


def emit(name: str, actor: Actor, /, **data: Any) -> None:
    """Say that something happened. The write is done already: a sink's failure is logged and never undoes it."""
    tell(Event(name, actor, data))


def tell(event: Event) -> None:
    """Tell every sink in turn of an event."""
    for sink in _sinks:
        try:
            sink(event)
        except Exception:
            log.exception(
                "event.sink_failed", event_name=event.name, sink=getattr(sink, "__qualname__", repr(sink))
            )
