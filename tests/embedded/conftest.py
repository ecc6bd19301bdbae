"""Runs of `make run` with stand-ins for the api and the worker, and a watch on what they leave behind."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import ROOT, free_port, wait_until

# Servers that need not exist: the stand-ins do not speak to them.
ELSEWHERE = {"MONGODB_URI": "mongodb://127.0.0.1:1/devicehub", "REDIS_URL": "redis://127.0.0.1:1/0"}
SETTINGS = ("APP_ENV", "DEVICEHUB_HOST", "DEVICEHUB_VAR", "MONGODB_URI", "PORT", "REDIS_HOST", "REDIS_URL")


def alive(pid: int) -> bool:
    """Whether a process does anything still (a zombie waits for a parent that may never look)."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def environment() -> dict[str, str]:
    """Ours, without what would set anything."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return kept | {"PYTHONPATH": str(ROOT)}


class Run:
    """A supervisor in a process of its own."""

    def __init__(self, folder: Path, programs: tuple[str, ...], given: dict[str, str]) -> None:
        self.folder = folder
        self._output = folder / "output"
        with self._output.open("ab") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "tests.embedded.standin", "run", *programs),
                cwd=folder,
                env=environment() | given,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, pattern: str) -> re.Match[str]:
        """What it said that matches; waits for it."""

        def said() -> re.Match[str] | None:
            found = re.search(pattern, self.output)
            assert found or self.process.poll() is None, f"ended without {pattern!r}: {self.output}"
            return found

        match: re.Match[str] = wait_until(said, 30, f"{pattern!r} in the output")
        return match

    @property
    def url(self) -> str:
        return self.says(r"API +(http://\S+)/api")[1]

    def asks(self) -> dict[str, Any]:
        """What its api answers; waits for an api."""
        answer: dict[str, Any] = wait_until(self._answer, 30, "an answer of the api")
        return answer

    def _answer(self) -> dict[str, Any] | None:
        with contextlib.suppress(httpx.TransportError):
            return dict(httpx.get(f"{self.url}/health", timeout=2).json())
        return None

    def family(self) -> dict[int, str]:
        """Its processes and theirs: id and command line."""
        family = {}
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    family[child.pid] = " ".join(child.cmdline())
        return family

    def child(self, pattern: str) -> int:
        """The id of its own child whose command line matches; waits for it."""

        def found() -> int | None:
            direct = psutil.Process(self.process.pid).children()
            return next((child.pid for child in direct if re.search(pattern, " ".join(child.cmdline()))), None)

        pid: int = wait_until(found, 30, f"a child {pattern!r}")
        return pid

    def ends(self, number: signal.Signals = signal.SIGINT) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def pinned(tmp_path: Path) -> dict[str, str]:
    """Ports of the test's own for all three, so that no test that runs beside it takes them over a restart."""
    for server in ("mongod", "redis"):
        folder = tmp_path / "var" / server
        folder.mkdir(parents=True)
        (folder / "port").write_text(str(free_port()))
    return {"PORT": str(free_port())}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Start a run in the test's folder: `run("api", "worker", PORT="5001")`; none outlives the test."""
    runs: list[Run] = []

    def start(*programs: str, **given: str) -> Run:
        runs.append(Run(tmp_path, programs, given))
        return runs[-1]

    yield start
    for each in runs:
        family = each.family()
        each.process.kill()
        each.process.wait()
        wait_until(lambda family=family: not any(alive(pid) for pid in family), 20, f"the end of {family}")


@pytest.fixture
def quick_run(run: Callable[..., Run]) -> Callable[..., Run]:
    """The same, without servers of its own."""
    return lambda *programs, **given: run(*programs, **(ELSEWHERE | given))
