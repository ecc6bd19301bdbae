"""Jobs: asking for work, calling it off, asking again."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock, ids, queue
from devicehub.core.actor import Actor
from devicehub.core.redis import RedisAway
from devicehub.jobs import telling
from devicehub.jobs.errors import JobIsNotOver, JobIsOver, JobNotFound
from devicehub.jobs.models import Job


def enqueue(
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    actor: Actor | None = None,
    key: str | None = None,
    run_at: datetime | None = None,
    job_id: ObjectId | None = None,
    bulk: bool = False,
    watched: bool = False,
) -> str:
    """Ask for the job `name` (`feature.verb`, a function in `<feature>/jobs.py`); returns its id.

    It is written with majority before this returns, and it is done even if Redis is away now. `arguments` are
    JSON-ready. With a `key`, or a `job_id`, asking again finds the job that is there; `run_at` lets it wait. One
    that is `bulk` may take minutes: it lets the others go first, and people take turns at it. Of one that is
    `watched` whoever asked hears live how far it is, and that it is done is an event, as that it failed always is.
    """
    moment = clock.now()
    job = Job(
        id=job_id or ObjectId(),
        bulk=bulk or None,
        watched=watched or None,
        name=name,
        arguments=dict(arguments or {}),
        key=key,
        status="pending",
        run_at=run_at or moment,
        created_at=moment,
        **_asked_by(actor),
    )
    try:
        job.save(force_insert=True)
    except NotUniqueError:
        same = Job.objects(id=job.id) if job_id else Job.objects(key=key)
        return str(same.only("id").first().id)
    if job.run_at <= moment:
        _put(job)
    return str(job.id)


def find(actor: Actor, *, status: str | None = None, limit: int = 50) -> list[Job]:
    """The newest jobs the actor may know of."""
    wanted = Job.objects.visible_to(actor).order_by("-id").limit(limit)
    return list(wanted.filter(status=status) if status else wanted)


def get(actor: Actor, job_id: str) -> Job:
    """One job; raises JobNotFound."""
    job: Job | None = Job.objects.visible_to(actor).filter(id=ids.parse(job_id)).first()
    if job is None:
        raise JobNotFound(job_id=job_id)
    return job


def cancel(actor: Actor, job_id: str) -> Job:
    """Call a job off: at once when it waits, within 2 s when it is worked on (`cancel_requested_at` says so).

    Raises JobNotFound, or JobIsOver.
    """
    moment = clock.now()
    ours = Job.objects.visible_to(actor).filter(id=ids.parse(job_id))
    waiting, worked_on = ours.filter(status="pending"), ours.filter(status="processing")
    job: Job | None = None
    while job is None:  # it may go from one to the other and back between the two questions
        job = waiting.modify(
            new=True, status="cancelled", cancel_requested_at=moment, finished_at=moment
        ) or worked_on.modify(new=True, cancel_requested_at=moment)
        if job is None and get(actor, job_id).status not in ("pending", "processing"):
            raise JobIsOver(job_id=job_id)
    if job.status == "cancelled":
        telling.progressed(job.to_mongo(), "cancelled")
    return job


def retry(actor: Actor, job_id: str) -> Job:
    """Let a job that failed or was cancelled begin anew; raises JobNotFound, or JobIsNotOver."""
    job: Job | None = (
        Job.objects.visible_to(actor)
        .filter(id=ids.parse(job_id), status__in=("failed", "cancelled"))
        .modify(
            new=True,
            status="pending",
            attempts=0,
            run_at=clock.now(),
            unset__dead=True,
            unset__untold=True,
            unset__error=True,
            unset__finished_at=True,
            unset__cancel_requested_at=True,
        )
    )
    if job is None:
        raise JobIsNotOver(job_id=job_id, status=get(actor, job_id).status)
    _put(job)
    return job


def _asked_by(actor: Actor | None) -> dict[str, Any]:
    if actor is None:
        return {}
    return {
        "organization_id": ids.parse(actor.organization_id),
        "user_id": ids.parse(actor.user_id),
        "actor_kind": actor.kind,
        "scopes": sorted(actor.scopes),
        "request_id": actor.request_id,
    }


def _put(job: Job) -> None:
    with suppress(RedisAway):  # the sweeper brings it when Redis is back
        queue.put(str(job.id), bulk=bool(job.bulk))
