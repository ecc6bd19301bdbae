"""Who beats next: the devices by the time they are due, handed out to the threads that carry their beats."""

import time
from heapq import heappop, heappush
from threading import Condition, Lock

from devicehub.simulator.fleet import Device


class Agenda:
    """Hands out each device when it is due. A device handed out is off the agenda until it is put back."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Device]] = []
        self._closed = False
        self._changed = Condition()
        # Only the thread whose turn it is watches the clock; the others are not woken for every beat.
        self._turn = Lock()

    def put(self, due: float, device: Device) -> None:
        with self._changed:
            heappush(self._due, (due, device.number, device))
            self._changed.notify()

    def close(self) -> None:
        """Hand out nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def take(self) -> Device | None:
        """Wait for the next device that is due; None once the agenda is closed."""
        with self._turn, self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heappop(self._due)[-1]
                self._changed.wait(wait)
            return None
