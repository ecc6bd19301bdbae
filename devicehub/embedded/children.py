"""Running a program as a child that cannot outlive us, and ending it with everything it started."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from devicehub.embedded import bound, interrupts, ports, reaper
from devicehub.embedded.errors import FolderInUse

POLL_S = 0.01
LOCK_WAIT_S = 10.0


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`; KeyboardInterrupt if a signal came."""
    deadline = time.monotonic() + seconds
    while True:
        interrupts.check()
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run. Its output goes to the file `log`, else to where ours goes.

    `lock` is held by the program itself: whoever starts another one in the same folder waits for its end, even
    when the process that started the first is long gone. `orphan_signal` reaches it when we die.
    """

    name: str
    command: tuple[str, ...]
    cwd: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    lock: Path | None = None
    fds: tuple[int, ...] = ()
    orphan_signal: signal.Signals = signal.SIGKILL


class Child:
    """A program and, while it runs, its process: leader of a session of its own, so a Ctrl-C spares it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._session: int | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def pid(self) -> int:
        """The id of the process started last."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    def start(self) -> None:
        """Run the program; only from the main thread, since Linux ties the child to the *thread* that made it."""
        if sys.platform == "linux" and threading.get_native_id() != os.getpid():
            raise RuntimeError("children are started from the main thread only")
        program = self.program
        with contextlib.ExitStack() as opened:
            lock = opened.enter_context(held(program.lock)) if program.lock else None
            output = opened.enter_context(_fresh(program.log)) if program.log else None
            self._process = subprocess.Popen(  # noqa: S603 (no shell, and commands of our own making)
                _bound(program),
                cwd=program.cwd,
                env=os.environ | dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                pass_fds=program.fds if lock is None else (*program.fds, lock.fileno()),
                start_new_session=True,
            )
            self._session = self._process.pid

    def exit_code(self) -> int | None:
        """The code it ended with (negative: the signal); None while it runs or before it did."""
        return self._process.poll() if self._process else None

    def ending(self) -> str:
        """How it came to its end, in words."""
        code = self.exit_code()
        if code is None:
            raise RuntimeError(f"{self.name} has not ended")
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def listens_on(self, port: int) -> bool:
        """Whether this very process serves `port`, which no answer from the port could tell.

        Whose a port is takes a look at every connection of the machine; while it is nobody's, that is not asked.
        """
        if not ports.is_served(port):
            return False
        try:
            sockets = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.Error:
            return False
        return any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and wake it up to hear it if it was stopped by a SIGSTOP."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.send_signal(signal.SIGCONT)

    def stop(self, seconds: float = 10.0) -> None:
        """End it: gently, and after `seconds` by force."""
        self.ask_to_stop()
        wait_until(lambda: not self.is_running(), seconds)
        self.kill()

    def kill(self) -> None:
        """End it at once, with every process left in its session."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._session is not None:
            reaper.end({self._session}, seconds=0)
            self._session = None  # once only: the number may be given to a stranger from now on


def _bound(program: Program) -> list[str]:
    bind = [sys.executable, "-I", "-S", bound.__file__, str(os.getpid()), str(int(program.orphan_signal))]
    return [*bind, *program.command]


def _fresh(log: Path) -> IO[bytes]:
    """The log emptied for a new run; what the run before had to say stays beside it."""
    if log.exists():
        log.replace(log.with_suffix(f"{log.suffix}.1"))
    return log.open("wb")


def held(path: Path, seconds: float = LOCK_WAIT_S) -> IO[str]:
    """The file at `path`, locked until every copy of the handle is closed; FolderInUse if that takes long."""
    file = path.open("a+")
    if wait_until(lambda: _try_lock(file), seconds):
        return file
    file.close()
    raise FolderInUse(f"A process that was started earlier still works in {path.parent}. Stop it first.")


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
