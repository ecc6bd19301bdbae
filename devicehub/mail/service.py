"""Mail: what is owed is written to the outbox, and a job sends it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock, ids
from devicehub.core.errors import NotFound
from devicehub.jobs import service as jobs
from devicehub.mail import preferences
from devicehub.mail.models import Mail
from devicehub.mail.rendering import KINDS

LAST = 50


class MailNotFound(NotFound):
    code = "MAIL_NOT_FOUND"
    title = "Mail not found"
    detail = "No mail {mail_id} in the outbox."


def send(
    kind: str,
    to: str,
    data: Mapping[str, Any],
    *,
    key: str,
    user_id: str | None = None,
    dies_at: datetime | None = None,
) -> None:
    """Owe somebody a mail of a `kind` (of `KINDS`), made of `data`; the same `key` is owed once.

    `dies_at` is when it is of no use any more: a code that has lapsed is not sent late. With a `user_id`, what
    that user does not want is not owed. An address that nobody could have is found out when it is sent.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no mail of the kind {kind}")
    if user_id and not preferences.wants(user_id, kind):
        return
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


def find_last() -> list[Mail]:
    """The last mails, newest first."""
    return list(Mail.objects.order_by("-id").limit(LAST))


def get(mail_id: str) -> Mail:
    """One mail; raises MailNotFound."""
    wanted = ids.parse(mail_id)
    mail: Mail | None = Mail.objects(id=wanted).first() if wanted else None
    if mail is None:
        raise MailNotFound(mail_id=mail_id)
    return mail
