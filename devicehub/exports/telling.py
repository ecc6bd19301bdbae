"""Telling whoever asked for an export that its file is there, or that there will be none: once, and by mail."""

from typing import Any

from devicehub.core import clock, events
from devicehub.core.actor import Actor
from devicehub.core.events import Event
from devicehub.exports import views
from devicehub.jobs.models import Job
from devicehub.mail import service as mail
from devicehub.notifications import service as notifications
from devicehub.notifications.service import News
from devicehub.users.models import User
from devicehub.web.schemas import camel

_WHAT = {"logs": "logs", "usage_report": "usage report", "device_report": "device report"}


def tell(job: Job) -> None:
    """Say how an export ended; again under the same key, and so not again."""
    key = f"export:{job.id}:{clock.rfc3339(job.finished_at)}"
    actor = Actor(str(job.user_id), str(job.organization_id), "viewer", kind="system")
    is_there = job.status == "completed"
    notifications.notify(actor.user_id, _ready(job) if is_there else _failed(job), key=key)
    if is_there:
        _mail(job, key)
    facts = _facts(job) | {"user_id": actor.user_id}
    events.tell(Event("export.completed" if is_there else "export.failed", actor, facts, id=key), must=True)


def _ready(job: Job) -> News:
    file = job.result
    message = f"{file['file_name']} has {views.amount(job)}. It is kept until {file['expires_at']:%d %B %Y}."
    if title := _scheduled(job):
        return News("report", f"{title} is ready", message, _data(job), str(job.organization_id))
    kind = job.arguments["type"]
    title = f"Your {_WHAT[kind]} {'are' if kind == 'logs' else 'is'} ready"
    return News("export_ready", title, message, _data(job), str(job.organization_id))


def _failed(job: Job) -> News:
    what = _scheduled(job) or f"Your export of {_WHAT[job.arguments['type']]}"
    error = views.error(job) or {}
    return News(
        "report" if _scheduled(job) else "export_failed",
        f"{what} has failed",
        error.get("message", ""),
        _data(job),
        str(job.organization_id),
    )


def _scheduled(job: Job) -> str:
    title: str = job.arguments.get("schedule", {}).get("title", "")
    return title


def _facts(job: Job) -> dict[str, Any]:
    known = {"job_id": str(job.id), "type": job.arguments["type"], "format": job.arguments["format"]}
    if job.status != "completed":
        return known | {"error": views.error(job)}
    file = job.result
    kept = {name: file[name] for name in ("file_name", "file_size", "record_count")}
    return known | kept | {"expires_at": clock.rfc3339(file["expires_at"])}


def _data(job: Job) -> dict[str, Any]:
    """The same as clients are told it."""
    return {camel(name): value for name, value in _facts(job).items()}


def _mail(job: Job, key: str) -> None:
    user: User | None = User.objects(id=job.user_id).only("email").first()
    if user is None:
        return
    facts = {
        "title": _scheduled(job),
        "what": _WHAT[job.arguments["type"]],
        "fileName": job.result["file_name"],
        "size": views.size(job.result["file_size"]),
        "amount": views.amount(job),
        "sha256": job.result["sha256"],
        "expiresAt": clock.rfc3339(job.result["expires_at"]),
        "jobId": str(job.id),
    }
    kind = "report" if _scheduled(job) else "export_ready"
    mail.send(kind, user.email, facts, key=key, user_id=str(job.user_id))
