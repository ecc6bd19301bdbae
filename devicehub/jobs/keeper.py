"""The keeper of a claim: a thread that renews it while the work goes on, and interrupts work that is to end."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import FrameType

import pymongo
import structlog
from pymongo.errors import PyMongoError

from devicehub.core import config
from devicehub.jobs.claims import Claim
from devicehub.jobs.errors import Stopped, TimedOut

log = structlog.get_logger(__name__)

LOOK_S = 0.5
GRACE_S = 5.0
ANSWER_S = 5.0
_SIGNAL = signal.SIGUSR1

GiveUp = Callable[[Claim, Stopped], None]


def _next_renewal() -> float:
    return time.monotonic() + config.current().job_lease_seconds / 3


class Keeper:
    """Knows why the work is to end, as soon as it is.

    `give_up` is called, in the keeper's thread, about work that does not end although it was interrupted: it hangs
    in code that is not Python's.
    """

    def __init__(self, claim: Claim, timeout_s: float, give_up: GiveUp) -> None:
        self._claim, self._give_up = claim, give_up
        self._deadline = time.monotonic() + timeout_s
        self._renew_at = _next_renewal()
        self._reason: Stopped | None = None
        self._over = threading.Event()
        self._interruptible = False

    def check(self) -> None:
        """Raise what ends the work, if anything does."""
        if self._reason is not None:
            raise self._reason
        if not self._claim.is_fresh:
            self._claim.renew()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the claim during a block; in the main thread the block is interrupted when it is to end."""
        with_our_words = copy_context().run  # what is logged there names the job too
        thread = threading.Thread(target=with_our_words, args=(self._keep,), name="job-keeper", daemon=True)
        is_main = threading.current_thread() is threading.main_thread()
        before = signal.signal(_SIGNAL, self._interrupt) if is_main else None
        try:
            thread.start()
            try:
                self._interruptible = is_main
                yield
            finally:
                self._interruptible = False
        finally:
            self._over.set()
            thread.join()
            if is_main:
                signal.signal(_SIGNAL, before)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._interruptible and self._reason is not None:
            self._interruptible = False
            raise self._reason

    def _keep(self) -> None:
        while not self._over.wait(LOOK_S):
            try:
                self._look()
            except Stopped as reason:
                self._stop(reason)
                return
            except PyMongoError as error:  # the lease may hold until it is back
                log.warning("job.lease_not_renewed", error=type(error).__name__)

    def _look(self) -> None:
        if time.monotonic() > self._deadline:
            raise TimedOut()
        with pymongo.timeout(ANSWER_S):
            if time.monotonic() < self._renew_at:
                self._claim.look()
            else:
                self._claim.renew()
                self._renew_at = _next_renewal()

    def _stop(self, reason: Stopped) -> None:
        self._reason = reason
        if self._interruptible:
            main = threading.main_thread().ident
            assert main is not None  # noqa: S101
            signal.pthread_kill(main, _SIGNAL)
        if not self._over.wait(GRACE_S):
            self._give_up(self._claim, reason)
