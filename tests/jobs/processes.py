"""Real workers, and what brings them their jobs: fixtures for tests that kill them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest
from flask import Flask

from devicehub.core.config import Settings
from devicehub.core.duties import Duty
from devicehub.jobs import sweeping
from tests.conftest import ROOT, wait_until

LEASE_S = 3


class Worker:
    """A worker process that knows the jobs of `deeds.py`."""

    def __init__(self, settings: Settings, **environment: str) -> None:
        named = settings.model_dump(mode="json", exclude_none=True, exclude={"allowed_origins", "log_file"})
        env = os.environ | {name.upper(): str(value) for name, value in named.items()}
        env |= {"JOB_LEASE_SECONDS": str(LEASE_S)} | environment
        command = [sys.executable, "-m", "tests.jobs.deeds"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env)

    def child(self) -> psutil.Process:
        """The process of the job it works on."""
        parent = psutil.Process(self.process.pid)
        found: psutil.Process = wait_until(lambda: next(iter(parent.children()), None), what="a job's process")
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def start(app: Flask, settings: Settings) -> Iterator[Callable[..., Worker]]:
    """Start a worker: `start()`; none outlives the test."""
    started: list[Worker] = []

    def make(**environment: str) -> Worker:
        started.append(Worker(settings, **environment))
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
