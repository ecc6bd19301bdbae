"""Saying how a job goes: live to whoever asked for it, and once, to all that listens, how it ended."""

from collections.abc import Mapping
from typing import Any

import structlog
from mongoengine.errors import OperationError
from pymongo.errors import PyMongoError

from devicehub.core import clock, events
from devicehub.core.errors import DatabaseUnavailable
from devicehub.core.events import Event
from devicehub.jobs import askers, claims

log = structlog.get_logger(__name__)

Progress = dict[str, Any]


def shape(progress: Mapping[str, Any] | None, status: str) -> Progress:
    """How far a job is, as clients are told; `percentage` is a whole number, null when the total is not known."""
    known = progress or {}
    done, total = known.get("done", 0), known.get("total")
    percentage = min(100, done * 100 // total) if total else None
    return {
        "percentage": 100 if status == "completed" else percentage,
        "currentStep": known.get("step"),
        "processedRecords": done,
        "totalRecords": total,
    }


def progressed(row: Mapping[str, Any], status: str, progress: Mapping[str, Any] | None = None) -> None:
    """Tell who asked for a job, if it is one that is watched, how it stands. One that is missed does no harm."""
    if row.get("watched") and row.get("user_id"):
        facts = {"job_id": str(row["_id"]), "status": status, "progress": shape(progress, status)}
        events.emit("job.progressed", askers.teller(row), **facts)


def ended(row: Mapping[str, Any]) -> None:
    """Emit `job.failed`, and of a watched job `job.ended`, and note that it was; the sweeper does it for who died.

    The events have the same ids then, those of the last attempt, so that what follows from them follows once.
    """
    if row.get("watched"):
        progressed(row, row["status"], row.get("progress"))
    try:
        if row.get("watched"):
            _tell("job.ended", row)
        if row["status"] == "failed":
            _tell("job.failed", row)
    except (DatabaseUnavailable, PyMongoError, OperationError) as error:  # it stays untold: the sweeper's
        log.warning("job.not_told", job_id=str(row["_id"]), error=type(error).__name__)
        return
    claims.jobs().update_one({"_id": row["_id"], "untold": True}, {"$unset": {"untold": ""}})


def _tell(name: str, row: Mapping[str, Any]) -> None:
    job_id, last_attempt = str(row["_id"]), clock.rfc3339(row["started_at"])
    facts = {"job_id": job_id, "name": row["name"]}
    events.tell(Event(name, askers.teller(row), facts, id=f"{name}:{job_id}:{last_attempt}"), must=True)
