"""Looking after everybody's jobs: for platform admins, whose every act on one is in the audit trail."""

from collections.abc import Mapping
from typing import Any

from devicehub.audit import service as audit
from devicehub.core import ids
from devicehub.core.actor import SYSTEM, Actor
from devicehub.core.errors import Forbidden, InvalidDateRange
from devicehub.core.paging import After, Stretch
from devicehub.jobs import service as jobs
from devicehub.jobs.errors import JobIsNotOver, JobNotFound
from devicehub.jobs.models import Job


def find(actor: Actor, query: Mapping[str, Any], after: After) -> Stretch[Job]:
    """Jobs of all organizations, newest first; raises Forbidden, or InvalidDateRange."""
    conditions = _conditions(query)
    if after.position:
        conditions["_id"] = {"$lt": ids.parse(str(after.position[0]))}
    rows = list(_everyones(actor).filter(__raw__=conditions).order_by("-id").limit(after.limit + 1))
    return after.cut(rows, lambda job: (str(job.id),))


def get(actor: Actor, job_id: str) -> Job:
    """One job, whosever it is; raises Forbidden, or JobNotFound."""
    job: Job | None = _everyones(actor).filter(id=ids.parse(job_id)).first()
    if job is None:
        raise JobNotFound(job_id=job_id)
    return job


def cancel(actor: Actor, job_id: str) -> Job:
    """Call a job off, as `jobs.cancel` does; raises Forbidden, JobNotFound, or JobIsOver."""
    job = get(actor, job_id)
    with audit.intended(actor, "job.cancelled", target=job_id, changes=_told(job)):
        return jobs.cancel(SYSTEM, job_id)


def retry(actor: Actor, job_id: str) -> Job:
    """Let a job that failed or was cancelled begin anew; raises Forbidden, JobNotFound, or JobIsNotOver."""
    job = get(actor, job_id)
    with audit.intended(actor, "job.retried", target=job_id, changes=_told(job)):
        return jobs.retry(SYSTEM, job_id)


def retry_dead(actor: Actor, query: Mapping[str, Any]) -> tuple[int, bool]:
    """Let dead letters begin anew, the oldest first and `limit` of them at most; how many, and if more are left.

    Raises Forbidden, or InvalidDateRange.
    """
    limit = query["limit"]
    dead = _everyones(actor).filter(__raw__=_conditions({**query, "dead": True})).order_by("id")
    found = list(dead.limit(limit + 1))
    with audit.intended(actor, "jobs.retried", changes=query), audit.gathered():
        retried = sum(_retried(actor, job) for job in found[:limit])
    return retried, len(found) > limit


def _retried(actor: Actor, job: Job) -> bool:
    try:
        jobs.retry(SYSTEM, str(job.id))
    except (JobIsNotOver, JobNotFound):  # somebody else was faster
        return False
    audit.record(actor, "job.retried", target=str(job.id), changes=_told(job))
    return True


def _everyones(actor: Actor) -> Any:
    if not actor.is_platform_admin:
        raise Forbidden()
    return Job.objects.visible_to(SYSTEM)


def _conditions(query: Mapping[str, Any]) -> dict[str, Any]:
    if "from" in query and "to" in query and query["from"] > query["to"]:
        raise InvalidDateRange(errors={"to": ["It lies before `from`."]})
    conditions = {name: query[name] for name in ("status", "name") if name in query}
    if "dead" in query:
        conditions["dead"] = True if query["dead"] else {"$ne": True}
    if "organization_id" in query:
        conditions["organization_id"] = ids.parse(query["organization_id"]) or {"$in": []}
    bounds = {"$gte": query.get("from"), "$lt": query.get("to")}
    if bounds := {operator: moment for operator, moment in bounds.items() if moment}:
        conditions["created_at"] = bounds
    return conditions


def _told(job: Job) -> dict[str, Any]:
    """What an entry keeps of a job, beside its id; its arguments may be private."""
    return {"name": job.name, "organization_id": str(job.organization_id or "") or None, "status": job.status}
