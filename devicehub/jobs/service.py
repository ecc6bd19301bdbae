"""Jobs: asking for work, and the work itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.jobs.models import Job


def enqueue(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    actor: Actor | None = None,
    key: str | None = None,
    run_at: datetime | None = None,
) -> str:
    """Ask for the job `name` (`feature.verb`, a function in `<feature>/jobs.py`); returns its id.

    It is written with majority before this returns, and it is done even if Redis is away now. `arguments` are
    JSON-ready. With a `key`, asking again finds the job that is there; `run_at` lets it wait.
    """
    moment = clock.now()
    job = Job(
        id=ObjectId(),
        name=name,
        arguments=dict(arguments or {}),
        key=key,
        status="pending",
        organization_id=ObjectId(actor.organization_id) if actor else None,
        user_id=ObjectId(actor.user_id) if actor else None,
        request_id=actor.request_id if actor else None,
        run_at=run_at or moment,
        created_at=moment,
    )
    try:
        job.save(force_insert=True)
    except NotUniqueError:
        return str(Job.objects(key=key).only("id").first().id)
    return str(job.id)
