"""A new user's export, from the sign-up to the spreadsheet, by the processes that serve everybody."""

import csv
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from flask import Flask

from devicehub.core.config import Settings
from tests.conftest import LiveServer, named, wait_until
from tests.factories import PASSWORD
from tests.mail.sink import Sink
from tests.nursery import Nursery
from tests.realtime.clients import Socket

pytestmark = pytest.mark.xdist_group("jobs")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink().listening() as listening:
        yield listening


@pytest.fixture
def site(
    app: Flask, serve: Callable[..., LiveServer], worker_nursery: Nursery, settings: Settings, sink: Sink
) -> Iterator[LiveServer]:
    """The api and a worker that mails."""
    mailing = {"SMTP_URL": f"smtp://localhost:{sink.port}", "PUBLIC_URL": "https://hub.example.org"}
    server = serve(**mailing)
    worker = worker_nursery.bear("worker", environment={**os.environ, **named(settings), **mailing})
    yield server
    worker.kill()
    worker.wait(10)
    server.stop()


def test_an_export_is_asked_for_watched_told_of_mailed_fetched_and_opened(site: LiveServer, sink: Sink) -> None:
    http = httpx.Client(base_url=site.url, timeout=10)
    http.post("/api/auth/signup", json={"name": "Ada", "email": "ada@example.com", "password": PASSWORD})
    signed_in = http.post("/api/auth/login", json={"email": "ada@example.com", "password": PASSWORD}).json()
    http.headers["Authorization"] = f"Bearer {signed_in['accessToken']}"
    device = http.post("/api/devices", json={"name": "Boiler", "type": "sensor"}).json()
    logs = [{"event": "units_consumed", "value": n, "message": f"=cmd|{n}"} for n in range(1000)]
    answer = http.post(f"/api/devices/{device['id']}/logs", json={"logs": logs})
    assert answer.json()["accepted"] == 1000
    socket = Socket(site.url, {"token": signed_in["accessToken"]}).connect()

    span = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-12-31T00:00:00Z"}
    asked = http.post("/api/export/jobs", json={"type": "logs", "format": "csv", "dateRange": span})

    assert asked.status_code == 202
    wait_until(lambda: any(told["status"] == "completed" for told in socket.named("job-progress")), 60, "the end")
    progress = [told for told in socket.named("job-progress") if told["jobId"] == asked.json()["jobId"]]
    assert progress[0]["status"] == "processing"
    assert any(told["progress"]["processedRecords"] == 1000 for told in progress)
    assert progress[-1]["progress"]["percentage"] == 100
    told = next(one for one in [socket.wait_for("notification")] if one["type"] == "export_ready")
    assert told["data"]["jobId"] == asked.json()["jobId"]
    mail = wait_until(lambda: next((one for one in sink.mails if "export" in one.message["Subject"]), None), 30)
    path = re.search(r"https://hub.example.org(/\S+/download)", mail.body("plain"))
    assert path is not None
    file = http.get(path[1])
    export = http.get(asked.headers["Location"]).json()
    assert hashlib.sha256(file.content).hexdigest() == export["result"]["sha256"]
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert len(rows) == 1000
    assert {row["message"] for row in rows} == {f"'=cmd|{n}" for n in range(1000)}
    assert sum(float(row["value"]) for row in rows) == sum(range(1000))
    socket.close()
    http.close()
