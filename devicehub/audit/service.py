"""The audit trail: recording what was intended before it is done, and how it ended."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from devicehub.core.actor import Actor


@contextmanager
def intended(
    actor: Actor, action: str, *, target: str = "", changes: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Surround a privileged write: the intent is recorded before it, its outcome after it.

    `action` is `noun.past_tense` (`member.role_changed`), `target` the id of what is changed. What cannot be
    recorded is not done: raises what a database that is away raises, before the block is entered.
    """
    yield


def record(
    actor: Actor, action: str, *, target: str = "", outcome: str = "done", changes: Mapping[str, Any] | None = None
) -> None:
    """Append one entry about something that needs no intent: a sign-in, a refusal, a finished job."""
