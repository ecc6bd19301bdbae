"""What a person sees while the fleet runs: one line that changes, or a line now and then in a log."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from devicehub.simulator.report import Tally

GLANCE = 0.25
LOG_EVERY = 5.0


class Running(Protocol):
    """What is watched: a fleet that beats."""

    tally: Tally
    ended: Event

    @property
    def online(self) -> int: ...

    @property
    def devices(self) -> int: ...


def watch(run: Running, seconds: float | None, console: Console) -> None:
    """Show how the run goes until its time is over, or it cannot go on."""
    ends_at = time.monotonic() + (seconds or math.inf)
    pace = GLANCE if console.is_terminal else LOG_EVERY
    with _line(console) as show:
        while (left := ends_at - time.monotonic()) > 0 and not run.ended.wait(min(pace, left)):
            show(run.tally.progress(run.online, run.devices))


@contextmanager
def _line(console: Console) -> Iterator[Callable[[str], None]]:
    if not console.is_terminal:
        yield lambda line: console.print(line, soft_wrap=True, markup=False)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda line: live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)
