"""What becomes of a schedule when it is due: an export of the days before is asked for, and the next time is set.

It is asked for *before* the schedule is moved on, under a key that names the schedule and the days: whoever dies
in between has lost nothing, and whoever does it a second time finds the job there. Of the times that went by while
nobody was there, the latest one counts.
"""

from datetime import date, datetime
from typing import Any

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.duties import Duty
from devicehub.jobs import service as jobs
from devicehub.organizations import service as organizations
from devicehub.reports import schedules
from devicehub.reports.models import Schedule
from devicehub.reports.times import Rhythm

log = structlog.get_logger(__name__)

EVERY_S, LEASE_S = 10.0, 30.0
MADE_BY = "exports.scheduled"

Row = dict[str, Any]


def duty() -> Duty:
    """What one of the serving processes does every few seconds."""
    return Duty("report-schedules", sweep, every=EVERY_S, lease=LEASE_S)


def sweep() -> None:
    """Ask for the reports of all schedules that are due; one that cannot be is no hindrance to the others."""
    now = clock.now()
    for row in _stored().find({"next_run_at": {"$lte": now}}).sort("next_run_at", 1):
        try:
            _do(row, now)
        except PyMongoError:
            raise
        except Exception:
            log.exception("report_schedule.failed", schedule=str(row["_id"]))


def _do(row: Row, now: datetime) -> None:
    owner = _owner_of(row)
    if owner is None:  # they left, and the job that follows from that has not come to it yet
        _stored().delete_one({"_id": row["_id"]})
        return
    when = schedules.rhythm(owner.organization_id, row)
    day = when.latest(now)
    period = "/".join(map(clock.rfc3339, when.period(day)))  # whole: a day and a week may begin alike
    _ask(owner, row, when, day, key=f"schedule:{row['_id']}:{period}")
    moved = {"next_run_at": when.following(now), "last_run_at": now}
    # Unless its owner has changed meanwhile when it is due.
    _stored().update_one({"_id": row["_id"], "next_run_at": row["next_run_at"]}, {"$set": moved})


def run(actor: Actor, schedule_id: str, *, run_id: ObjectId | None = None) -> dict[str, Any]:
    """Ask now for what one of the caller's schedules made last, or would have; raises ScheduleNotFound.

    `run_id` is given when the same request may come twice: it is one run.
    """
    schedule = schedules.get(actor, schedule_id)
    row, now = schedule.to_mongo().to_dict(), clock.now()
    when = schedules.rhythm(actor.organization_id, row)
    day = when.latest(now)
    key = f"schedule:{schedule_id}:run:{run_id}" if run_id else None
    job_id = _ask(actor, row, when, day, key=key)
    Schedule.objects.visible_to(actor).filter(id=schedule.id).update_one(set__last_run_at=now)
    start, end = when.period(day)
    return {"schedule_id": schedule_id, "job_id": job_id, "start_date": start, "end_date": end}


def keep_zone(organization_id: str) -> int:
    """Find anew when an organization's schedules are due, in the zone it has now; returns how many moved.

    Those that are due already are left to the sweep, or they would be passed over.
    """
    now, moved = clock.now(), 0
    waiting = {"organization_id": ObjectId(organization_id), "next_run_at": {"$gt": now}}
    for row in _stored().find(waiting):
        next_run_at = schedules.rhythm(organization_id, row).following(now)
        as_read = {"_id": row["_id"], "next_run_at": row["next_run_at"]}
        moved += _stored().update_one(as_read, {"$set": {"next_run_at": next_run_at}}).modified_count
    return moved


def _ask(actor: Actor, row: Row, when: Rhythm, day: date, *, key: str | None) -> str:
    start, end = when.period(day)
    asked = {
        "schedule_id": str(row["_id"]),
        "type": row["type"],
        "format": row["format"],
        "title": row["name"],
        "start_date": clock.rfc3339(start),
        "end_date": clock.rfc3339(end),
        "filters": dict(row["filters"]),
    }
    return jobs.enqueue(MADE_BY, asked, actor=actor, key=key)


def _owner_of(row: Row) -> Actor | None:
    """Whoever made a schedule, with the role they have now; None when they do not belong there any more."""
    user_id, organization_id = str(row["user_id"]), str(row["organization_id"])
    role = organizations.memberships(user_id).get(organization_id)
    return Actor(user_id=user_id, organization_id=organization_id, role=role) if role else None


def _stored() -> Any:
    return Schedule._get_collection()
