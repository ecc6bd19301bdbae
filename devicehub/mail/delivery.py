"""Sending one mail of the outbox: claimed, rendered, handed over, and its secrets forgotten.

A mail is claimed by one conditional update, so two runs do not both send it. If we die between the server's yes
and our own note of it, it goes out a second time, under the same Message-ID.
"""

from datetime import timedelta
from typing import Any

import structlog
from bson import ObjectId
from mongoengine import Q

from devicehub.core import clock, config
from devicehub.mail import smtp
from devicehub.mail.addresses import masked
from devicehub.mail.models import Mail
from devicehub.mail.rendering import Rendered, render
from devicehub.mail.smtp import Refused, Undelivered

log = structlog.get_logger(__name__)

DELAYS = (5.0, 30.0, 120.0, 600.0)
TRIES = len(DELAYS) + 1
# As long as a job's lease: whoever takes the job over from a dead worker need not wait for the mail as well.
CLAIM = timedelta(seconds=30)


class BeingSent(Exception):
    """Another run has claimed it, and may be alive."""


def deliver(mail_id: str, *, is_last: bool = False) -> str:
    """Send a mail unless that is done; returns what has become of it.

    Raises what kept it from going out this time. It has failed after TRIES of them, or if this try is the last:
    one whose worker died before it came here is not counted by the mail.
    """
    mail = _claim(mail_id)
    if mail is None:
        return _settled(mail_id)
    if mail.dies_at is not None and mail.dies_at <= clock.now():
        return _settle(mail, "expired")
    try:
        rendered = render(mail.kind, mail.data)
        message = smtp.compose(mail_id, mail.to, rendered)
        if config.current().smtp_url:
            smtp.send(message)
    except Refused as refusal:
        return _settle(mail, "failed", last_error=str(refusal))
    except Exception as error:
        why = str(error) if isinstance(error, Undelivered) else type(error).__name__
        _settle(mail, "failed" if is_last or mail.attempts >= TRIES else "pending", last_error=why)
        raise
    return _settle(mail, "sent", sent_at=clock.now(), rendered=_kept(rendered))


def _claim(mail_id: str) -> Mail | None:
    """Take the mail for this run, unless nothing is to be done or another run may be doing it."""
    moment = clock.now()
    is_free = Q(status="pending") | Q(status="sending", claimed_until__lte=moment)
    mail: Mail | None = Mail.objects(is_free, id=ObjectId(mail_id)).modify(
        new=True, set__status="sending", set__claimed_until=moment + CLAIM, inc__attempts=1
    )
    return mail


def _settled(mail_id: str) -> str:
    mail: Mail | None = Mail.objects(id=ObjectId(mail_id)).only("status").first()
    if mail is not None and mail.status == "sending":
        raise BeingSent()
    return mail.status if mail is not None else "gone"


def _settle(mail: Mail, status: str, **facts: Any) -> str:
    """Write down what has become of it; what was sent is sent, even if another run has claimed it by now."""
    wanted = Mail.objects(id=mail.id)
    if status != "sent":
        wanted = wanted.filter(attempts=mail.attempts, status="sending")
    if status != "pending":
        facts["data"] = {}
    wanted.update_one(
        set__status=status, unset__claimed_until=1, **{f"set__{name}": value for name, value in facts.items()}
    )
    _log(mail, status, facts.get("last_error"))
    return status


def _kept(rendered: Rendered) -> dict[str, str]:
    """For `/dev/mail`, where mails go nowhere else; they hold codes."""
    settings = config.current()
    if settings.smtp_url or not settings.is_development:
        return {}
    return {"subject": rendered.subject, "text": rendered.text, "html": rendered.html}


def _log(mail: Mail, status: str, error: str | None) -> None:
    settings = config.current()
    facts = {
        "mail_id": str(mail.id),
        "kind": mail.kind,
        "to": masked(mail.to),
        "attempt": mail.attempts,
        "transport": "smtp" if settings.smtp_url else "log",
    }
    if settings.is_development and not settings.smtp_url:
        facts["see"] = f"{settings.public_address}/dev/mail/{mail.id}"
    write = log.info if status == "sent" else log.warning
    write(f"mail.{status}", **facts, **({"error": error} if error else {}))
