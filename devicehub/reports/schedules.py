"""Schedules of reports: everybody has their own, in each organization."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import TooMany
from devicehub.reports import service as reports
from devicehub.reports.errors import ScheduleNotFound
from devicehub.reports.models import Schedule
from devicehub.reports.times import Rhythm

MOST = 20
_TIMES = {"frequency", "weekday", "day", "hour", "enabled"}

Row = Mapping[str, Any]


def find(actor: Actor, page: Page) -> tuple[list[Schedule], int]:
    """A page of the caller's schedules in the active organization, newest first, and how many there are."""
    own = _own(actor)
    return list(own.order_by("-created_at", "-id").skip(page.skip).limit(page.limit)), own.count()


def get(actor: Actor, schedule_id: str) -> Schedule:
    """One of the caller's schedules; raises ScheduleNotFound."""
    wanted = ids.parse(schedule_id)
    schedule: Schedule | None = _own(actor).filter(id=wanted).first() if wanted else None
    if schedule is None:
        raise ScheduleNotFound(schedule_id=schedule_id)
    return schedule


def create(actor: Actor, fields: Row, *, schedule_id: ObjectId | None = None) -> Schedule:
    """Make a schedule of the caller's own; raises TooMany, or DeviceNotFound for a device in its filters.

    `schedule_id` is given when the same request may come twice: the second finds what the first made.
    """
    fields = _of_own_devices(actor, fields)
    moment = clock.now()
    schedule = Schedule(
        id=schedule_id or ObjectId(),
        organization_id=ObjectId(actor.organization_id),
        user_id=ObjectId(actor.user_id),
        created_at=moment,
        updated_at=moment,
        next_run_at=rhythm(actor.organization_id, fields).following(moment) if fields["enabled"] else None,
        **fields,
    )
    try:
        schedule.save(force_insert=True)
    except NotUniqueError:
        return get(actor, str(schedule_id))
    if _own(actor).count() > MOST:  # counted after the write: of two that are made at once, none is one too many
        schedule.delete()
        raise TooMany(limit=MOST, things="report schedules of one person")
    emit("report_schedule.created", actor, schedule_id=str(schedule.id))
    return schedule


def update(actor: Actor, schedule_id: str, changes: Row) -> Schedule:
    """Change one of the caller's schedules; raises ScheduleNotFound, or DeviceNotFound as `create` does.

    When it is due is found anew if that was changed; what it was due for before is not made up for then.
    """
    changes = _of_own_devices(actor, changes)
    changed: Schedule | None = None
    while changed is None:  # unless somebody else changed it in between
        before = get(actor, schedule_id)
        if not changes:
            return before
        mine = _own(actor).filter(id=before.id, revision=before.revision)
        changed = mine.modify(new=True, __raw__=_change(actor, before, changes))
    emit("report_schedule.updated", actor, schedule_id=schedule_id, changes=dict(changes))
    return changed


def _change(actor: Actor, before: Schedule, changes: Row) -> dict[str, Any]:
    moment, after = clock.now(), before.to_mongo().to_dict() | changes
    stored, update = {**changes, "updated_at": moment}, {"$inc": {"revision": 1}}
    if not after["enabled"]:
        return {**update, "$set": stored, "$unset": {"next_run_at": ""}}
    if _TIMES & changes.keys():
        stored["next_run_at"] = rhythm(actor.organization_id, after).following(moment)
    return {**update, "$set": stored}


def delete(actor: Actor, schedule_id: str) -> None:
    """Delete one of the caller's schedules; raises ScheduleNotFound. What it asked for is made all the same."""
    wanted = ids.parse(schedule_id)
    if wanted is None or not _own(actor).filter(id=wanted).delete():
        raise ScheduleNotFound(schedule_id=schedule_id)
    emit("report_schedule.deleted", actor, schedule_id=schedule_id)


def note_export(actor: Actor, schedule_id: str, export_id: str) -> None:
    """Note which export a schedule made last; for one that was deleted meanwhile there is nothing to note."""
    _own(actor).filter(id=ObjectId(schedule_id)).update_one(set__last_export_id=ObjectId(export_id))


def rhythm(organization_id: str, schedule: Row) -> Rhythm:
    """When a schedule is due, in the zone its organization has now."""
    zone = ZoneInfo(organizations.settings_of(organization_id).timezone)
    return Rhythm(schedule["frequency"], schedule["weekday"], schedule["day"], schedule["hour"], zone)


def _own(actor: Actor) -> Any:
    return Schedule.objects.visible_to(actor)


def _of_own_devices(actor: Actor, fields: Row) -> Row:
    """The same fields; raises DeviceNotFound if their filters name a device that is not there."""
    if "filters" not in fields:
        return fields
    filters = fields["filters"]
    return {**fields, "filters": {**filters, "device_ids": reports.demand(actor, filters["device_ids"])}}
