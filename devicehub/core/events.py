"""`emit`: say that something happened, after it was written. What listens hears it here and nowhere else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from devicehub.core import clock
from devicehub.core.actor import Actor

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """A thing that happened, named `noun.past_tense`, by whom, and its facts (JSON-ready values)."""

    name: str
    actor: Actor
    data: Mapping[str, Any]
    at: datetime = field(default_factory=clock.now)


Sink = Callable[[Event], None]
_sinks: list[Sink] = []


def attach(*sinks: Sink) -> None:
    """Set who listens, in this order, replacing whoever did; `app.py` does it once."""
    _sinks[:] = sinks


def emit(name: str, actor: Actor, **data: Any) -> None:
    """Tell every sink in turn. The write is done already, so a sink's failure is logged and never undoes it."""
    event = Event(name, actor, data)
    for sink in _sinks:
        try:
            sink(event)
        except Exception:
            log.exception("event.sink_failed", event_name=name, sink=getattr(sink, "__qualname__", repr(sink)))
