"""What whoever asked for an export is told of it: once, within the application, live and by mail."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from pymongo.errors import AutoReconnect

from devicehub.core import files
from devicehub.core.events import Event
from devicehub.exports import telling
from devicehub.exports.errors import ExportStorageFull
from devicehub.exports.files import FILES
from devicehub.jobs import service as jobs
from devicehub.jobs import sweeping
from devicehub.jobs.models import Job
from devicehub.mail.models import Mail
from devicehub.webhooks import hearing
from devicehub.webhooks.models import Delivery
from tests.exports.conftest import Ask, write_logs
from tests.factories import Account
from tests.jobs.inline import run_due_jobs, run_job


def news(client: FlaskClient) -> list[Any]:
    items: list[Any] = client.get("/api/notifications").json["items"]
    return items


@pytest.mark.actor("operator")
def test_that_it_is_ready_in_a_notification_a_mail_and_an_event(
    client: FlaskClient, account: Account, device: Any, make: Ask, told: list[Event]
) -> None:
    write_logs(account.actor, device["id"], {"event": "a"})
    export = make()
    run_due_jobs("exports.tell")
    telling.tell(Job.objects(id=export["jobId"]).get())

    [item] = news(client)
    assert (item["type"], item["title"]) == ("export_ready", "Your logs are ready")
    assert (item["data"]["jobId"], item["data"]["recordCount"]) == (export["jobId"], 1)
    [mail] = Mail.objects(kind="export_ready")
    assert (mail.to, mail.data["amount"], mail.data["sha256"]) == (
        account.email,
        "1 record",
        export["result"]["sha256"],
    )
    completed = [event for event in told if event.name == "export.completed"]
    assert len({event.id for event in completed}) == 1
    assert completed[0].data["file_name"] == export["result"]["fileName"]


@pytest.mark.actor("operator")
def test_that_it_failed_in_a_notification_with_the_reason_and_not_by_mail(
    client: FlaskClient, ask: Ask, using: Any, told: list[Event]
) -> None:
    with using(storage_reserve_mb=1 << 30):
        export = ask()
        failed = run_job(export["jobId"])
        run_due_jobs("exports.tell")

    assert (failed.status, failed.error["code"], failed.attempts) == ("failed", ExportStorageFull.code, 1)
    [item] = news(client)
    assert (item["type"], item["message"]) == ("export_failed", "There was not enough room for the file.")
    assert Mail.objects.count() == 0
    assert [event.data["error"]["code"] for event in told if event.name == "export.failed"] == [
        "EXPORT_STORAGE_FULL"
    ]


@pytest.mark.actor("operator")
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_of_the_file(
    client: FlaskClient, account: Account, device: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devicehub.core.files.LOOK_EVERY", 100)
    monkeypatch.setattr("devicehub.core.files.CHUNK", 64)
    write_logs(account.actor, device["id"], *({"message": "x" * 100} for _ in range(50)))
    job_id = ask()["jobId"]

    write = files.Writer.write

    def write_and_see_it_filled(writer: files.Writer, data: bytes) -> int:
        writer._reserve_mb = 1 << 30
        return write(writer, data)

    monkeypatch.setattr(files.Writer, "write", write_and_see_it_filled)
    failed = run_job(job_id)

    assert (failed.status, failed.error["code"]) == ("failed", ExportStorageFull.code)
    assert FILES.ids() == set()
    assert client.post(f"/api/devices/{device['id']}/logs", json={"event": "on"}).status_code == 201


@pytest.mark.actor("operator")
def test_an_end_that_could_not_be_told_is_told_later(
    account: Account, device: Any, ask: Ask, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_logs(account.actor, device["id"], {"event": "a"})
    job_id, enqueue, failed = ask()["jobId"], jobs.enqueue, []

    def falter(name: str, *args: Any, **kwargs: Any) -> str:
        if name == "exports.tell" and not failed:
            failed.append(name)
            raise AutoReconnect("another primary is being chosen")
        return enqueue(name, *args, **kwargs)

    monkeypatch.setattr(jobs, "enqueue", falter)
    assert run_job(job_id).status == "completed"
    assert failed
    clock(sweeping.TELLING_S + 1)
    sweeping.sweep()
    assert Job.objects(name="exports.tell").count() == 1


@pytest.mark.actor("admin")
def test_webhooks_hear_of_an_export_although_mongodb_faltered(
    client: Any, account: Account, device: Any, make: Ask, clock: Any, using: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with using(webhook_allow_private=True):
        body = {"url": "http://127.0.0.1:9/", "events": ["export.completed"]}
        assert client.post("/api/webhooks", json=body).status_code == 201
    write_logs(account.actor, device["id"], {"event": "a"})
    owe, failed = hearing.deliveries.owe, []

    def falter(drafts: Any) -> None:
        if drafts and not failed:
            failed.append(drafts)
            raise AutoReconnect("another primary is being chosen")
        owe(drafts)

    monkeypatch.setattr(hearing.deliveries, "owe", falter)
    make()
    run_due_jobs("exports.tell")
    assert failed
    clock(10)
    run_due_jobs("exports.tell")
    assert [one.event for one in Delivery.objects] == ["export.completed"]
