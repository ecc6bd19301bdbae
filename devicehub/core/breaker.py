"""A circuit breaker: after a failure, leave the broken thing alone for a moment, then let one caller try."""

import threading
import time


class Breaker:
    """Closed (calls go through), or open for `rest` seconds after a failure; then one probe at a time."""

    def __init__(self, rest: float = 1.0) -> None:
        self.rest = rest
        self._open_until: float | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether the last thing known is a failure."""
        return self._open_until is not None

    def allows(self) -> bool:
        """Whether a call may go through now; while open, only the first caller after each rest may."""
        if self._open_until is None:
            return True
        with self._lock:
            moment = time.monotonic()
            if self._open_until is None or moment >= self._open_until:
                if self._open_until is not None:
                    self._open_until = moment + self.rest
                return True
            return False

    def succeeded(self) -> bool:
        """Note a success; true when it is the one that ends an outage."""
        recovered, self._open_until = self._open_until is not None, None
        return recovered

    def failed(self) -> bool:
        """Note a failure; true when it is the one that begins an outage."""
        with self._lock:
            began = self._open_until is None
            self._open_until = time.monotonic() + self.rest
        return began
