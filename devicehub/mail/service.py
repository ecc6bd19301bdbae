"""Mail: what is owed is written to the outbox, and a job sends it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock
from devicehub.jobs import service as jobs
from devicehub.mail.models import Mail


def send(
    kind: str,
    to: str,
    data: Mapping[str, Any],
    *,
    key: str,
    user_id: str | None = None,
    dies_at: datetime | None = None,
) -> None:
    """Owe somebody a mail of a `kind` (a template's name), made of `data`; the same `key` is owed once.

    `dies_at` is when it is of no use any more: a code that has lapsed is not sent late.
    """
    mail = Mail(
        id=ObjectId(),
        kind=kind,
        to=to,
        data=dict(data),
        key=key,
        user_id=ObjectId(user_id) if user_id else None,
        status="pending",
        dies_at=dies_at,
        created_at=clock.now(),
    )
    try:
        mail.save(force_insert=True)
    except NotUniqueError:
        mail = Mail.objects(key=key).only("id").first()
    jobs.enqueue("mail.send", {"mailId": str(mail.id)}, key=f"mail:{mail.id}")
