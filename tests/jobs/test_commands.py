"""`devicehub jobs`, as whoever runs the service types it."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from devicehub.core import config
from devicehub.core.config import Settings
from devicehub.jobs import claims, service
from devicehub.jobs.commands import jobs
from devicehub.jobs.models import Job
from tests.conftest import ROOT, holding
from tests.jobs.inline import run_job


@pytest.fixture(autouse=True)
def _settings(settings: Settings, monkeypatch: pytest.MonkeyPatch, deeds: object) -> None:
    monkeypatch.setattr(config, "load_for_command", lambda: settings)


@pytest.fixture
def job_id(app: Flask) -> str:
    return service.enqueue("tests.despair", {"secret": "hunter2"})


def run(app: Flask, *arguments: str) -> Result:
    return CliRunner().invoke(jobs, arguments, obj=lambda _: app)


def test_jobs_are_listed_by_their_status(app: Flask, job_id: str) -> None:
    other = service.enqueue("tests.note")
    run_job(job_id)
    failed = run(app, "list", "--status", "failed")
    assert failed.exit_code == 0, failed.output
    assert job_id in failed.output
    assert "NOTHING_THERE" in failed.output
    assert other not in failed.output
    assert [line.split()[0] for line in run(app, "list").output.splitlines()] == [other, job_id]


def test_a_job_is_shown_without_its_arguments(app: Flask, job_id: str) -> None:
    run_job(job_id)
    shown = json.loads(run(app, "show", job_id).output)
    assert (shown["id"], shown["name"], shown["status"], shown["attempts"]) == (
        job_id,
        "tests.despair",
        "failed",
        1,
    )
    assert shown["error"] == {"type": "NothingThere", "code": "NOTHING_THERE"}
    assert "hunter2" not in str(shown)


def test_a_job_is_called_off_and_begun_anew(app: Flask, job_id: str) -> None:
    assert run(app, "cancel", job_id).output == "Cancelled.\n"
    assert Job.objects(id=job_id).get().status == "cancelled"
    assert run(app, "retry", job_id).output == "It begins anew.\n"
    assert claims.claim(job_id)
    assert "asked to stop" in run(app, "cancel", job_id).output


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_what_cannot_be_done_is_said_in_a_sentence(app: Flask, command: str) -> None:
    refused = run(app, command, "nonsense")
    assert refused.exit_code == 1
    assert refused.output == "Error: No job nonsense of yours.\n"


def test_it_is_a_command_of_devicehub(app: Flask, settings: Settings) -> None:
    environment = os.environ | {"APP_ENV": "development", "DEVICEHUB_VAR": str(settings.devicehub_var)}
    environment |= {"MONGODB_URI": settings.mongodb_uri, "REDIS_URL": settings.redis_url}
    command = [sys.executable, "-m", "devicehub.cli", "jobs", "list"]
    with holding("job-scheduler", "this test"):
        newest = service.enqueue("tests.note")
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == newest
