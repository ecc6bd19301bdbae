"""Duties: what exactly one of all processes does, again and again; whoever holds the lease does it."""

import threading
from collections.abc import Callable

import structlog
from pymongo.errors import PyMongoError

from devicehub.core import crypto, leases, mongo

log = structlog.get_logger(__name__)


_started: list["Duty"] = []


def stop_all() -> None:
    """End every duty of this process, which is about to end: nobody has to wait for its leases to lapse."""
    for duty in _started:
        duty.end()
    while _started:
        _started.pop().stop()


class Duty:
    """`do` once every `every` seconds, by the process that holds the lease `name`; another takes over in `lease`.

    Its loop is a thread of its own, a greenlet where threads are patched. What `do` raises is logged, and it is
    done again at its next time.
    """

    def __init__(self, name: str, do: Callable[[], None], *, every: float, lease: float) -> None:
        self.name, self.every, self.lease = name, every, lease
        self._do = do
        self._holder = crypto.random_token(12)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_away = False

    def start(self) -> None:
        """Begin; once is enough."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"duty-{self.name}", daemon=True)
            self._thread.start()
            _started.append(self)

    def end(self) -> None:
        """Begin to stop, and do not wait for it."""
        self._stopped.set()

    def stop(self) -> None:
        """End after the present round and give the lease back, so that another process need not wait for it."""
        self.end()
        if self._thread is not None:
            self._thread.join()

    def step(self) -> bool:
        """One round; false when another process holds the lease."""
        if not leases.acquire(mongo.database(), self.name, self._holder, seconds=self.lease):
            return False
        self._do()
        return True

    def _run(self) -> None:
        while not self._stopped.wait(self.every):
            try:
                self.step()
                self._is_away = False
            except PyMongoError as error:
                if not self._is_away:
                    log.warning("duty.database_away", duty=self.name, error=type(error).__name__)
                self._is_away = True
            except Exception:
                log.exception("duty.failed", duty=self.name)
        try:
            leases.release(mongo.database(), self.name, self._holder)
        except PyMongoError as error:  # it lapses by itself
            log.info("duty.lease_not_released", duty=self.name, error=type(error).__name__)
