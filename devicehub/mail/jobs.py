"""Mail's job."""

from collections.abc import Mapping
from typing import Any

from devicehub.jobs.registry import Context, job
from devicehub.mail import delivery


@job("mail.send", timeout_s=300, delays=delivery.DELAYS)
def send(context: Context) -> Mapping[str, Any]:
    """Send one mail of the outbox, by its `mailId`."""
    is_last = context.attempt >= delivery.TRIES
    return {"status": delivery.deliver(context.arguments["mailId"], is_last=is_last)}
