"""Children that are kept alive: one that died is started again, and all of them end in order."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from devicehub.embedded import interrupts, reaper
from devicehub.embedded.children import Child, wait_until
from devicehub.embedded.errors import EmbeddedError

DELAYS_S = (1, 2, 4, 8, 16, 30)
STEADY_S = 60.0
LOOK_S = 0.1
# Everything is down 5 s after a Ctrl-C, whoever is slow; what is killed then goes on at the next start.
STOP_S = 4.7
TIER_S = 3.0


@dataclass
class _Watch:
    child: Child
    since: float
    deaths: int = 0
    due: float | None = None

    def died(self, now: float) -> float:
        """Note a death; the seconds to wait before the next start."""
        if now - self.since > STEADY_S:
            self.deaths = 0
        delay = DELAYS_S[min(self.deaths, len(DELAYS_S) - 1)]
        self.deaths += 1
        self.since, self.due = now, now + delay
        return delay

    def started(self, now: float) -> None:
        self.since, self.due = now, None


class Supervisor:
    """Watches children in tiers: a later tier depends on the earlier ones, so it is stopped first."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._tiers: list[list[_Watch]] = []
        self._reaper = _Reaper()

    def add(self, *children: Child) -> None:
        """Watch `children` as the next tier, and start those that do not run yet."""
        now = time.monotonic()
        self._tiers.append([_Watch(child, now) for child in children])
        for child in children:
            if not child.is_running():
                child.start()
        self._tell_reaper()

    def dead(self) -> Child | None:
        """A child that has ended and was not started again yet."""
        return next((watch.child for watch in self._watches() if not watch.child.is_running()), None)

    def watch(self) -> None:
        """Start again whoever dies, until a signal ends it with a KeyboardInterrupt."""
        while True:
            interrupts.check()
            self.look(time.monotonic())
            time.sleep(LOOK_S)

    def look(self, now: float) -> None:
        """One round: note who died, start those whose time has come."""
        for watch in self._watches():
            if watch.due is None and not watch.child.is_running():
                self._bury(watch, now)
            elif watch.due is not None and now >= watch.due:
                self._revive(watch, now)

    def _bury(self, watch: _Watch, now: float) -> None:
        child = watch.child
        child.kill()  # what it started and left behind would be in the way of its successor
        self._tell(f"{child.name} ended ({child.ending()}); it starts again in {watch.died(now)} s.")
        self._tell_reaper()

    def _revive(self, watch: _Watch, now: float) -> None:
        try:
            watch.child.start()
        except (EmbeddedError, OSError) as error:
            delay = watch.died(now)
            self._tell(f"{watch.child.name} cannot start ({error}); it is tried again in {delay} s.")
        else:
            watch.started(now)
            self._tell_reaper()

    def stop(self) -> None:
        """End the tiers, the last one first; by force who takes too long, or all at once on a second Ctrl-C."""
        try:
            deadline = time.monotonic() + STOP_S
            for tier in reversed(self._tiers):
                _stop([watch.child for watch in tier], min(TIER_S, deadline - time.monotonic()))
        finally:
            for watch in self._watches():
                watch.child.kill()
            self._reaper.dismiss()

    def _tell_reaper(self) -> None:
        self._reaper.watch_over([watch.child.pid for watch in self._watches() if watch.due is None])

    def _watches(self) -> list[_Watch]:
        return [watch for tier in self._tiers for watch in tier]


class _Reaper:
    """The process of reaper.py, which ends what we leave behind when we are killed."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", "-S", reaper.__file__]
        self._process = subprocess.Popen(  # noqa: S603 (no shell, and a script of our own)
            command, stdin=subprocess.PIPE, text=True, start_new_session=True
        )

    def watch_over(self, sessions: list[int]) -> None:
        """Name all who run now; forgets who was named before."""
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it was killed: PDEATHSIG remains
            self._process.stdin.write(" ".join(map(str, sessions)) + "\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Nobody is left to watch over."""
        assert self._process.stdin is not None  # noqa: S101
        if not self._process.stdin.closed:
            self.watch_over([])
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()


def _stop(children: list[Child], seconds: float) -> None:
    for child in children:
        child.ask_to_stop()
    wait_until(lambda: not any(child.is_running() for child in children), seconds)
    for child in children:
        child.kill()
