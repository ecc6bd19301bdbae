"""A turnstile for requests: so many are worked on at once, the others wait for their turn before they begin.

A process that begins a thousand requests together ends none of them in time: between any two of its steps each
waits for all the others, and what it asks of Redis and MongoDB runs into the time-outs that are meant for servers
which are away. Who waits here has asked for nothing yet, and comes in the order of arrival.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from devicehub.core.errors import Busy, DeviceHubError

PATIENCE_S = 30.0


@dataclass(eq=False, slots=True)
class _Waiting:
    called: threading.Event = field(default_factory=threading.Event)
    refusal: DeviceHubError | None = None


class Turnstile:
    """`places` for as many callers; each thread, or greenlet, holds one at most."""

    def __init__(self, places: int) -> None:
        self._free, self._line = places, deque[_Waiting]()
        self._lock, self._own = threading.Lock(), threading.local()

    def enter(self) -> None:
        """Take a place as soon as it is one's turn; raises Busy after 30 s, or what `refuse` is given."""
        self._take(_Waiting(), first=False)

    def leave(self) -> None:
        """Give one's place to who has waited longest; of somebody who holds none, nothing."""
        if not getattr(self._own, "holds", False):
            return
        self._own.holds = False
        with self._lock:
            if self._line:
                self._line.popleft().called.set()
            else:
                self._free += 1

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Hold no place in a block that waits long for something else; come in before all others after it."""
        held = getattr(self._own, "holds", False)
        self.leave()
        try:
            yield
        finally:
            if held:
                self._take(_Waiting(), first=True)

    def refuse(self, reason: DeviceHubError) -> None:
        """Send away whoever waits: those inside wait for something that is not there."""
        with self._lock:
            refused, self._line = self._line, deque()
        for waiting in refused:
            waiting.refusal = reason
            waiting.called.set()

    def _take(self, waiting: _Waiting, *, first: bool) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                waiting.called.set()
            elif first:
                self._line.appendleft(waiting)
            else:
                self._line.append(waiting)
        if not waiting.called.wait(PATIENCE_S):
            with self._lock:
                if waiting in self._line:
                    self._line.remove(waiting)
                    raise Busy()
        if waiting.refusal is not None:
            raise waiting.refusal
        self._own.holds = True


_current: Turnstile | None = None


def use(turnstile: Turnstile) -> None:
    """Make `turnstile` the process's own; `create_base` does, once."""
    global _current
    _current = turnstile


def current() -> Turnstile:
    """The process's turnstile."""
    if _current is None:
        raise RuntimeError("turnstile.use() has not been called")
    return _current
