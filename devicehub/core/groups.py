"""Doing together what comes at the same time: one round for many callers, each with an answer of its own."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from devicehub.core.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Call(Generic[Item, Result]):
    items: Sequence[Item]
    results: Sequence[Result] | None = None
    error: Exception | None = None
    may_go: threading.Event = field(default_factory=threading.Event)  # it has been answered, or it leads

    @property
    def is_answered(self) -> bool:
        return self.results is not None or self.error is not None


class Group(Generic[Item, Result]):
    """Calls that come while a round is under way wait for it, then make up the next one.

    So a caller alone waits for nobody, and the more there are the larger are the rounds: nothing is ever put off
    in the hope of company. The first of those who wait leads the round, in its own thread or greenlet. `do` gets
    the items of all and returns as many results; what it raises, everyone in the round is told.
    """

    def __init__(self, do: Callable[[list[Item]], Sequence[Result]], *, largest: int) -> None:
        self._do, self._largest = do, largest
        self._lock = threading.Lock()
        self._waiting: list[_Call[Item, Result]] = []
        self._is_busy = False

    def submit(self, items: Sequence[Item]) -> Sequence[Result]:
        """The results of `items`, in their order."""
        call: _Call[Item, Result] = _Call(items)
        with self._lock:
            self._waiting.append(call)
            leads, self._is_busy = not self._is_busy, True
        if not leads:
            call.may_go.wait()
        if not call.is_answered:
            self._lead()
        if call.error is not None:
            raise call.error
        assert call.results is not None  # noqa: S101 - or it was told an error
        return call.results

    def _lead(self) -> None:
        calls = self._next_round()
        try:
            results = self._do([item for call in calls for item in call.items])
        except BaseException as error:
            ours_alone = not isinstance(error, Exception)  # the leader was told to end, the others were not
            for call in calls:
                call.error = error if isinstance(error, Exception) else Unavailable()
            if ours_alone:
                raise
        else:
            start = 0
            for call in calls:
                call.results = results[start : start + len(call.items)]
                start += len(call.items)
        finally:
            self._hand_over()
            for call in calls:
                call.may_go.set()

    def _next_round(self) -> list[_Call[Item, Result]]:
        """Those who have waited longest, the first of them whatever it brings."""
        with self._lock:
            size = count = 0
            while count < len(self._waiting):
                size += len(self._waiting[count].items)
                if count and size > self._largest:
                    break
                count += 1
            chosen, self._waiting = self._waiting[:count], self._waiting[count:]
        return chosen

    def _hand_over(self) -> None:
        with self._lock:
            self._is_busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].may_go.set()
