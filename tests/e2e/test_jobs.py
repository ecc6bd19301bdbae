"""Jobs from end to end: the api brings what Redis forgot, and worker.py takes it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from flask import Flask

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.jobs import service as jobs
from devicehub.jobs.models import Job
from tests.conftest import ROOT, LiveServer, wait_until

pytestmark = pytest.mark.xdist_group("jobs")


@pytest.fixture
def worker(app: Flask, settings: Settings) -> Iterator[None]:
    environment = {"MONGODB_URI": settings.mongodb_uri, "REDIS_URL": settings.redis_url, "APP_ENV": "development"}
    environment |= {"DEVICEHUB_VAR": str(settings.devicehub_var)}
    process = subprocess.Popen([sys.executable, "worker.py"], cwd=ROOT, env=os.environ | environment)
    yield
    process.kill()
    process.wait(10)


def test_what_redis_forgot_is_brought_to_the_worker_by_the_api(live_server: LiveServer, worker: None) -> None:
    job_id = jobs.enqueue("jobs.nonesuch")
    redis.current().client.flushall()
    failed = wait_until(lambda: Job.objects(id=job_id, status="failed").first(), 60, "the job to be taken")
    assert failed.error["code"] == "JOB_UNKNOWN"
    assert httpx.get(f"{live_server.url}/health").json()["dependencies"]["queue"] == "active"
