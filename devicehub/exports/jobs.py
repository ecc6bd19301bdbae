"""What is done for exports in the background."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from devicehub.exports import building, expiry, telling
from devicehub.exports import service as exports
from devicehub.exports.models import NAME
from devicehub.jobs.models import Job
from devicehub.jobs.registry import Context, job
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.reports import schedules


@job(NAME, timeout_s=3600, undo=building.take_back)
def build(context: Context) -> Mapping[str, Any]:
    """Make the file of an export."""
    return building.build(context)


@job("exports.tell")
def tell(context: Context) -> None:
    """Tell whoever asked for an export how it ended, if that is what ended."""
    if context.arguments["name"] == NAME:
        ended: Job | None = Job.objects(id=ObjectId(context.arguments["job_id"])).first()
        if ended is not None and ended.status in ("completed", "failed"):
            telling.tell(ended)


@job("exports.scheduled")
def scheduled(context: Context) -> Mapping[str, Any]:
    """Ask for the export of a schedule, in the name of whose it is; nothing if they have left."""
    if context.actor is None:
        return {}
    asked = context.arguments
    wanted: dict[str, Any] = {name: asked[name] for name in ("type", "format", "filters") if name in asked}
    if asked["type"] != "device_report":
        wanted["date_range"] = {name: datetime.fromisoformat(asked[name]) for name in ("start_date", "end_date")}
    made = exports.create(
        context.actor,
        wanted,
        job_id=building.file_id(context.job_id, 0),
        schedule={"id": asked["schedule_id"], "title": asked["title"]},
    )
    schedules.note_export(context.actor, asked["schedule_id"], str(made.id))
    return {"export_id": str(made.id)}


@job("exports.expire")
def expire(context: Context) -> Mapping[str, Any]:
    """Remove the files whose time has come, and what is left of those that never came to be."""
    done = {"expired": 0, "swept": 0}
    for what, removed in (("expired", expiry.expire()), ("swept", expiry.sweep())):
        for done[what], _ in enumerate(removed, 1):
            context.check()
    return done


@job("exports.forget_member")
def forget_member(context: Context) -> Mapping[str, Any]:
    """Delete what somebody exported from an organization they belong to no more, unless they are back."""
    user_id, organization_id = context.arguments["user_id"], context.arguments["organization_id"]
    if organization_id in organizations.memberships(user_id) or not organizations.is_there(organization_id):
        return {"removed": 0}
    own = Job.objects(organization_id=ObjectId(organization_id), user_id=ObjectId(user_id), name=NAME)
    return {"removed": sum(1 for _ in expiry.forget(own))}


@job("exports.purge_organization")
def purge_organization(context: Context) -> None:
    """Delete all exports of a deleted organization, and note on its receipt how many there were."""
    receipt_id = context.arguments["receipt_id"]
    for _ in expiry.forget(Job.objects(organization_id=ObjectId(context.arguments["organization_id"]), name=NAME)):
        deletions.count(receipt_id, "exports", 1)
        context.check()
    deletions.finish(receipt_id, "exports")
