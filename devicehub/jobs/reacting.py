"""What follows from an event, as jobs: the last sink of `emit`."""

from collections.abc import Mapping

from devicehub.core.events import Event, Sink
from devicehub.jobs import service as jobs


def to(reactions: Mapping[str, tuple[str, ...]]) -> Sink:
    """A sink that asks for the jobs `reactions` names under an event; each once for an event's id."""

    def react(event: Event) -> None:
        for name in reactions.get(event.name, ()):
            jobs.enqueue(name, event.data, actor=event.actor, key=f"{event.id}:{name}")

    return react
