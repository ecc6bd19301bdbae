"""`make run` on a terminal: Ctrl-C and hanging up are what people do to it."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port, wait_until
from tests.embedded.conftest import ELSEWHERE, alive, environment


@dataclass
class Terminal:
    """What a person sees and types, and the run it belongs to."""

    fd: int
    process: subprocess.Popen[bytes]
    seen: bytes = field(default=b"")

    def shows(self, pattern: bytes) -> None:
        def shown() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.seen += os.read(self.fd, 4096)
            return re.search(pattern, self.seen) is not None

        wait_until(shown, 30, f"{pattern!r} on the terminal")

    def types(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def hangs_up(self) -> None:
        os.close(self.fd)
        self.fd = -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A run in a session of its own, whose terminal is ours to type on."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = subprocess.Popen(
        # `script`-like: the session's leader takes the terminal, then becomes the run.
        (sys.executable, "-c", ENTER, sys.executable, "-m", "tests.embedded.standin", "run"),
        cwd=tmp_path,
        env=environment() | {"MONGODB_URI": ELSEWHERE["MONGODB_URI"], "PORT": str(free_port()), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    terminal = Terminal(ours, process)
    yield terminal
    if terminal.fd >= 0:
        terminal.hangs_up()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


ENTER = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


def family(terminal: Terminal) -> list[int]:
    return [child.pid for child in psutil.Process(terminal.process.pid).children(recursive=True)]


def test_a_spinner_then_the_screen_then_ctrl_c(terminal: Terminal) -> None:
    terminal.shows(rb"Starting Redis \.\.\.")
    terminal.shows(rb"The api and the worker starting \.\.\.")
    terminal.shows(rb"is healthy\.")
    children = family(terminal)

    terminal.types(b"\x03")

    terminal.shows(rb"Stopped\.")
    assert terminal.process.wait(30) == 0
    assert not any(alive(pid) for pid in children)


def test_a_closed_terminal_ends_everything(terminal: Terminal) -> None:
    terminal.shows(rb"is healthy\.")
    children = family(terminal)

    terminal.hangs_up()

    terminal.process.wait(30)
    wait_until(lambda: not any(alive(pid) for pid in children), what="the end of all")


def test_the_children_hear_nothing_of_a_ctrl_c(terminal: Terminal) -> None:
    """Only the run decides who ends, and when: the terminal's signal goes to its own group."""
    terminal.shows(rb"is healthy\.")
    group = os.getpgid(terminal.process.pid)

    assert [pid for pid in family(terminal) if os.getpgid(pid) == group] == []
