"""What the tests of exports share: devices with logs, and exports that are made here and now."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.logs import service as logs
from tests.factories import Account, make_device
from tests.jobs.inline import run_job

AT = "/api/export/jobs"

Ask = Callable[..., dict[str, Any]]
Download = Callable[[dict[str, Any]], bytes]


def ago(**span: float) -> str:
    return clock.rfc3339(clock.now() - timedelta(**span))


def wanted(**changes: Any) -> dict[str, Any]:
    """All logs of the last week, but for what is said; what is None is left out."""
    last_days = {"startDate": ago(days=7), "endDate": ago(minutes=-1)}
    body = {"type": "logs", "format": "csv", "dateRange": last_days} | changes
    return {name: value for name, value in body.items() if value is not None}


def write_logs(actor: Actor, device_id: str, *many: dict[str, Any]) -> None:
    """Write logs of a device, a minute apart, the last a minute ago, unless they say when they were."""
    now = clock.now().replace(microsecond=0)
    rows = [
        {"event": "on", "level": "info", "at": now - timedelta(minutes=len(many) - index)} | fields
        for index, fields in enumerate(many)
    ]
    logs.add(actor, device_id, rows)


@pytest.fixture
def device(account: Account) -> Any:
    return make_device(account.actor, name="Boiler")


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    """Ask for an export, as `wanted` says."""

    def asked(**changes: Any) -> dict[str, Any]:
        answer = client.post(AT, json=wanted(**changes))
        assert answer.status_code == 202, answer.json
        return dict(answer.json)

    return asked


@pytest.fixture
def make(client: FlaskClient, ask: Ask) -> Ask:
    """The same, and let it be made."""

    def made(**changes: Any) -> dict[str, Any]:
        job_id = ask(**changes)["jobId"]
        job = run_job(job_id)
        assert job.status == "completed", job.error
        return dict(client.get(f"{AT}/{job_id}").json)

    return made


@pytest.fixture
def download(client: FlaskClient) -> Download:
    """The file of an export."""

    def downloaded(export: dict[str, Any]) -> bytes:
        answer = client.get(f"{AT}/{export['jobId']}/download")
        assert answer.status_code == 200, answer.json
        return bytes(answer.data)

    return downloaded


def rows_of(content: bytes) -> list[dict[str, str]]:
    """A CSV file as a spreadsheet reads it."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))
