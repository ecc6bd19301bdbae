"""Exports: asking for a file, following it, fetching it. Each is a job, and nobody's but who asked for it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from devicehub.core import clock, ids
from devicehub.core.actor import SYSTEM, Actor
from devicehub.core.errors import InvalidDateRange
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.devices import access
from devicehub.devices.errors import DeviceNotFound
from devicehub.devices.models import Device
from devicehub.exports.errors import (
    ExportExpired,
    ExportIsNotOver,
    ExportIsOver,
    ExportNotFound,
    ExportNotReady,
)
from devicehub.exports.files import FILES
from devicehub.exports.models import NAME
from devicehub.jobs import service as jobs
from devicehub.jobs.errors import JobIsOver, JobNotFound
from devicehub.jobs.models import STATUSES, Job

LONGEST = timedelta(days=366)
OVER = ("completed", "failed", "cancelled", "expired")


def create(
    actor: Actor,
    wanted: Mapping[str, Any],
    *,
    job_id: ObjectId | None = None,
    schedule: Mapping[str, str] | None = None,
) -> Job:
    """Ask for an export, as `NewExportSchema` describes it; under the same `job_id` it is one.

    `schedule` tells the id and the title of what asked for it, whose devices may be no more.
    Raises DeviceNotFound or InvalidDateRange.
    """
    if schedule is None:
        demand_devices(actor, wanted.get("filters", {}).get("device_ids", ()))
    if "date_range" in wanted:
        check_range(wanted["date_range"]["start_date"], wanted["date_range"]["end_date"])
    arguments = _stored(wanted) | ({"schedule": dict(schedule)} if schedule else {})
    made = jobs.enqueue(NAME, arguments, actor=actor, job_id=job_id, bulk=True, watched=True)
    emit("export.created", actor, job_id=made, type=wanted["type"], format=wanted["format"])
    return get(actor, made)


def demand_devices(actor: Actor, device_ids: list[str] | tuple[str, ...]) -> None:
    """Raise DeviceNotFound unless the caller may know of all of them."""
    wanted = {access.parsed(device_id) for device_id in device_ids}
    known = set(Device.objects.visible_to(actor).filter(id__in=list(wanted)).scalar("id"))
    if missing := wanted - known:
        raise DeviceNotFound(device_id=min(missing))


def check_range(start: datetime, end: datetime) -> None:
    """Raise InvalidDateRange unless it is one, of at most 366 days."""
    if start >= end:
        raise InvalidDateRange(errors={"dateRange": ["It ends before it begins."]})
    if end - start > LONGEST:
        raise InvalidDateRange(errors={"dateRange": [f"Longer than {LONGEST.days} days."]})


def _stored(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """JSON-ready, as the arguments of a job are."""
    stored = {name: wanted[name] for name in ("type", "format", "layout", "compress") if name in wanted}
    stored["filters"] = dict(wanted.get("filters", {}))
    if "date_range" in wanted:
        stored["date_range"] = {name: clock.rfc3339(moment) for name, moment in wanted["date_range"].items()}
    return stored


def find(actor: Actor, query: Mapping[str, Any], page: Page) -> tuple[list[Job], int]:
    """A page of the caller's own exports, newest first, and how many there are."""
    found = _own(actor)
    if "status" in query:
        found = found.filter(status=query["status"])
    if "type" in query:
        found = found.filter(__raw__={"arguments.type": query["type"]})
    return list(found.order_by("-id").skip(page.skip).limit(page.limit)), found.count()


def get(actor: Actor, job_id: str) -> Job:
    """One of the caller's own exports; raises ExportNotFound."""
    job: Job | None = _own(actor).filter(id=ids.parse(job_id)).first()
    if job is None:
        raise ExportNotFound(job_id=job_id)
    return job


def _own(actor: Actor) -> Any:
    """An admin sees an organization's jobs, but what others have asked for is theirs."""
    return Job.objects.visible_to(actor).filter(name=NAME, user_id=ids.parse(actor.user_id))


def cancel(actor: Actor, job_id: str) -> Job:
    """Call an export off; one that is being made stops within 2 s. Raises ExportNotFound or ExportIsOver."""
    get(actor, job_id)
    try:
        jobs.cancel(SYSTEM, job_id)
    except JobIsOver:
        raise ExportIsOver(job_id=job_id) from None
    except JobNotFound:  # it was deleted meanwhile
        raise ExportNotFound(job_id=job_id) from None
    emit("export.cancelled", actor, job_id=job_id)
    return get(actor, job_id)


def fetch(actor: Actor, job_id: str) -> Job:
    """An export whose file is there; raises ExportNotFound, ExportNotReady or ExportExpired."""
    job = get(actor, job_id)
    if job.status == "expired" or (job.status == "completed" and job.result["expires_at"] <= clock.now()):
        raise ExportExpired(job_id=job_id)
    if job.status != "completed":
        raise ExportNotReady(job_id=job_id, status=job.status)
    return job


def count_download(actor: Actor, job: Job) -> None:
    """Note that the file was fetched, from its first byte on."""
    Job.objects(id=job.id).update_one(inc__result__download_count=1)
    emit("export.downloaded", actor, job_id=str(job.id), file_name=job.result["file_name"])


def delete(actor: Actor, job_id: str) -> None:
    """Delete an export that is over, with its file; raises ExportNotFound or ExportIsNotOver."""
    job: Job | None = _own(actor).filter(id=ids.parse(job_id), status__in=OVER).modify(remove=True)
    if job is None:
        get(actor, job_id)
        raise ExportIsNotOver(job_id=job_id)
    if "file_id" in job.result:
        FILES.delete(job.result["file_id"])
    emit("export.deleted", actor, job_id=job_id)


def stats(actor: Actor) -> dict[str, Any]:
    """How many exports the caller has, by status, and what those that are done came to."""
    sums = {name: {"$sum": f"$result.{name}"} for name in ("file_size", "record_count", "download_count")}
    rows = _own(actor).aggregate([{"$group": {"_id": "$status", "number": {"$sum": 1}, **sums}}])
    by_status = {row["_id"]: row for row in rows}
    return {
        "total": sum(row["number"] for row in by_status.values()),
        "by_status": {status: by_status.get(status, {}).get("number", 0) for status in STATUSES},
        "bytes": sum(row["file_size"] for row in by_status.values()),
        "records": sum(row["record_count"] for row in by_status.values()),
        "downloads": sum(row["download_count"] for row in by_status.values()),
    }
