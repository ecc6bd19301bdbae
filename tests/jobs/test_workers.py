"""Real workers that are killed, stopped and cut off: each job is done, and its result is published once."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from flask import Flask

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.core.duties import Duty
from devicehub.jobs import service as jobs
from devicehub.jobs import sweeping
from devicehub.jobs.models import Job
from tests.conftest import ROOT, wait_until

# Its workers are processes of their own: one parallel worker at a time is enough of them.
pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.usefixtures("deeds", "sweeper")]

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
        return wait_until(
            lambda: next(iter(psutil.Process(self.process.pid).children()), None), what="a job's process"
        )

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


def ends(job_id: str, status: str = "completed", seconds: float = 60) -> Job:
    def ended() -> Job | None:
        found: Job | None = Job.objects(id=job_id, status=status).first()
        return found

    found: Job = wait_until(ended, seconds, f"the job to be {status}")
    return found


def test_a_worker_does_what_it_is_given(start: Any, deeds: Any) -> None:
    start()
    done = ends(jobs.enqueue("tests.note", {"text": "a"}))
    assert dict(done.result) == {"noted": "a"}
    assert deeds.notes() == ["a"]
    wait_until(lambda: redis.current().client.keys("rq:job:*") == [], what="RQ to keep nothing of it")
