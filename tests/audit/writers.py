"""A process that appends to the chains of others."""

from typing import Any

from devicehub.audit import service as audit
from devicehub.core import mongo
from devicehub.core.actor import Actor
from devicehub.core.config import Settings


def append_many(settings: dict[str, Any], organization_id: str, count: int, barrier: Any) -> None:
    """Record `count` acts in one organization, once all are there."""
    mongo.connect(Settings(_env_file=None, **settings))
    actor = Actor("", organization_id, "owner", kind="system")
    barrier.wait()
    for number in range(count):
        audit.record(actor, "test.done", target=str(number))
