"""Which function does which job; filled by the doors `<feature>/jobs.py` when they are imported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from devicehub.core.actor import Actor


class Context(Protocol):
    """What a job is given: who asked for it, with which arguments, and how to tell of its progress.

    `actor` has the role they have now; it is None if nobody asked, or one who has left the organization since.
    """

    job_id: str
    arguments: Mapping[str, Any]
    actor: Actor | None
    attempt: int

    def progress(self, step: str, done: int, total: int | None = None) -> None:
        """Tell how far it is; raises what ends the job when it was cancelled or its lease was lost."""

    def check(self) -> None:
        """Raise what ends the job when it was cancelled or its lease was lost; cheap, ask often."""


Result = Mapping[str, Any]
Work = Callable[[Context], Result | None]
Undo = Callable[[Result], None]


def _leave(_result: Result) -> None:
    """Let what was made stand."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A job as its door declares it."""

    name: str
    work: Work
    timeout_s: float
    delays: tuple[float, ...]
    undo: Undo


_registered: dict[str, Registered] = {}


def job(
    name: str, *, timeout_s: float = 600, delays: tuple[float, ...] = (5, 30, 120), undo: Undo = _leave
) -> Callable[[Work], Work]:
    """Declare the function that does the job `name` (`feature.verb`); what it returns is kept as the result.

    What it raises has it tried again after each of `delays` seconds, and then no more; at once no more if it is an
    error of ours of the 4xx kind. It may be done twice, so a second run must do no harm. A result that cannot be
    kept any more, for the job was cancelled or lost since it last looked, is given to `undo`.
    """

    def declare(work: Work) -> Work:
        _registered[name] = Registered(name, work, timeout_s, delays, undo)
        return work

    return declare


def registered(name: str) -> Registered:
    """The job of this name; raises KeyError for one nobody declares."""
    return _registered[name]
