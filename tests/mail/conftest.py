"""What the tests of mail share: a job's context, a mail that is owed, and a server to send it to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from devicehub.jobs.models import Job
from devicehub.mail import service as mail
from devicehub.mail.jobs import send
from devicehub.mail.models import Mail
from tests.conftest import free_port
from tests.mail.sink import Sink

NOON = "2026-01-31T12:00:00.000Z"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
PLACE = {"at": NOON, "ip": "203.0.113.9", "userAgent": FIREFOX}
FILE = {
    "what": "logs",
    "fileName": "logs_20260101-20260131_b8c9d2.csv",
    "amount": "1,234,567 records",
    "size": "81.2 MB",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "expiresAt": NOON,
    "jobId": "65f0a1b2c3d4e5f6a7b8c9d2",
}
# Every kind, with the data that whoever owes it gives.
DATA: dict[str, dict[str, Any]] = {
    "otp": {"code": "493027", "minutes": 10},
    "password_changed": PLACE,
    "new_sign_in": PLACE,
    "refresh_reused": PLACE,
    "invitation": {
        "organizationName": "Analytical Engines",
        "inviterName": "Ada Lovelace",
        "role": "operator",
        "token": "dhi_5up3rs3cr3t",
        "expiresAt": NOON,
    },
    "device_offline": {
        "organizationName": "Analytical Engines",
        "count": 3,
        "devices": [{"name": "Boiler", "lastActiveAt": NOON}, {"name": "Pump", "lastActiveAt": NOON}],
    },
    "export_ready": FILE | {"title": ""},
    "report": FILE | {"title": "Usage of the week"},
    "email_change": {"token": "dhe_5up3rs3cr3t", "newEmail": "ada@example.org", "minutes": 1440},
    "email_changed": {"newEmail": "a***@example.org", "at": NOON},
}


@dataclass
class Context:
    """A job as its function sees it."""

    arguments: dict[str, Any]
    job_id: str = "65f0a1b2c3d4e5f6a7b8c9d0"
    actor: None = None
    attempt: int = 1

    def progress(self, step: str, done: int, total: int | None = None) -> None: ...

    def check(self) -> None: ...


def owe(kind: str = "otp", to: str = "ada@example.com", data: dict[str, Any] | None = None, **how: Any) -> str:
    """Owe a mail; its id."""
    key = f"test:{ObjectId()}"
    mail.send(kind, to, DATA[kind] if data is None else data, key=key, **how)
    return str(Mail.objects(key=key).get().id)


def work(mail_id: str, *, attempt: int = 1) -> Any:
    """Do the mail's job, once."""
    assert Job.objects(key=f"mail:{mail_id}").get().arguments == {"mailId": mail_id}
    return send(Context({"mailId": mail_id}, attempt=attempt))


def kept(mail_id: str) -> Mail:
    found: Mail = Mail.objects(id=ObjectId(mail_id)).get()
    return found


@pytest.fixture
def sink() -> Iterator[Callable[..., Sink]]:
    """Start an SMTP server: `sink(replies=...)`."""
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(Sink(**how).listening())


@pytest.fixture
def mailing(app: Flask, using: Any) -> Iterator[Callable[..., None]]:
    """Let mails go out through a server: `mailing(sink)`, or through this URL."""
    with ExitStack() as stack:

        def through(server: Sink | str, **more: Any) -> None:
            url = server if isinstance(server, str) else f"smtp://localhost:{server.port}"
            stack.enter_context(using(smtp_url=url, mail_from="DeviceHub <hub@example.net>", **more))

        yield through


@pytest.fixture
def nobody_there() -> str:
    """The URL of a server that does not answer."""
    return f"smtp://127.0.0.1:{free_port()}"
