"""Real workers, and what brings them their jobs: fixtures for tests that kill them."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from flask import Flask

from devicehub.core.config import Settings
from devicehub.core.duties import Duty
from devicehub.jobs import sweeping
from tests.conftest import ROOT, named, wait_until
from tests.jobs.nursery import MOST

LEASE_S = 3


class Born:
    """A process that a nursery has forked, to be used as one of `subprocess.Popen` is."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self.pid = pid
        self._line = line
        self._code: int | None = None

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._code is None:  # its number is its own until it was waited for
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended; negative: the signal."""
        if self._code is None:
            self._line.settimeout(seconds)
            self._line.send(b"%d" % self.pid)
            self._code = int(self._line.recv(MOST))
        return self._code


class Nursery:
    """Where workers come from; see nursery.py."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.jobs.nursery", str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])

    def bear(self, environment: dict[str, str]) -> Born:
        """A worker with this environment, that prints to where we print now."""
        self._line.settimeout(30)
        socket.send_fds(self._line, [json.dumps(environment).encode()], [1, 2])
        return Born(int(self._line.recv(MOST)), self._line)

    def close(self) -> None:
        self._line.close()
        self._process.wait(30)


class Worker:
    """A worker process that knows the jobs of `deeds.py`."""

    def __init__(self, nursery: Nursery, settings: Settings, **environment: str) -> None:
        ours = os.environ | named(settings) | {"JOB_LEASE_SECONDS": str(LEASE_S)}
        self.process = nursery.bear(ours | environment)

    def child(self) -> psutil.Process:
        """The process of the job it works on."""
        parent = psutil.Process(self.process.pid)
        found: psutil.Process = wait_until(lambda: next(iter(parent.children()), None), what="a job's process")
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def start(app: Flask, settings: Settings, nursery: Nursery) -> Iterator[Callable[..., Worker]]:
    """Start a worker: `start()`; none outlives the test."""
    started: list[Worker] = []

    def make(**environment: str) -> Worker:
        started.append(Worker(nursery, settings, **environment))
        return started[-1]

    yield make
    for worker in started:
        worker.end()


@pytest.fixture
def sweeper(app: Flask) -> Iterator[Duty]:
    """What a serving process does, only more often."""
    duty = Duty("test-sweeper", sweeping.sweep, every=0.2, lease=15)
    duty.start()
    yield duty
    duty.stop()
