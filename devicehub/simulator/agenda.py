"""What is to be sent next: by the time it is due, handed out to the threads that carry it."""

import time
from heapq import heappop, heappush
from itertools import count
from threading import Condition, Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Agenda(Generic[Item]):
    """Hands out each item when it is due. What was handed out is off the agenda until it is put back."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Item]] = []
        self._put = count()
        self._closed = False
        self._changed = Condition()
        # Only the thread whose turn it is watches the clock; the others are not woken for every beat.
        self._turn = Lock()

    def put(self, due: float, item: Item) -> None:
        with self._changed:
            heappush(self._due, (due, next(self._put), item))
            self._changed.notify()

    def close(self) -> None:
        """Hand out nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> Item | None:
        """Wait for the next item that is due; None once the agenda is closed."""
        with self._turn, self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heappop(self._due)[-1]
                self._changed.wait(wait)
            return None
