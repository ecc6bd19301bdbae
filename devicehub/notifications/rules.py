"""How long a device may be offline before anybody is told, and at what hours nobody is.

An organization has a rule, and a device may have one of its own, for as much of it as is to be otherwise.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.devices import access
from devicehub.devices import service as devices
from devicehub.devices.models import Device
from devicehub.notifications.models import Rule
from devicehub.organizations import service as organizations

GRACE_S = 60

Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a device: its grace, and its quiet hours in the organization's time zone."""

    grace: timedelta
    quiet: tuple[time, time] | None
    zone: ZoneInfo

    def due(self, since: datetime, now: datetime) -> datetime:
        """When to tell, not before `now`, of a device that is offline `since`."""
        return self._after_quiet_hours(max(since + self.grace, now))

    def _after_quiet_hours(self, moment: datetime) -> datetime:
        if self.quiet is None:
            return moment
        (start, end), local = self.quiet, moment.astimezone(self.zone)
        hour = local.time()
        is_quiet = start <= hour < end if start <= end else hour >= start or hour < end
        if not is_quiet:
            return moment
        day = local.date() if hour < end else local.date() + timedelta(days=1)
        # Of an hour that the clock goes through twice, the same one as now.
        return datetime.combine(day, end, tzinfo=self.zone).replace(fold=local.fold).astimezone(UTC)


def terms(zone: str, *rules: Stored | None) -> Terms:
    """What holds by these rules, the device's before the organization's."""
    chosen = [rule for rule in rules if rule]
    grace_s = next((rule["grace_s"] for rule in chosen if rule.get("grace_s") is not None), GRACE_S)
    quiet = next((rule["quiet"] for rule in chosen if rule.get("quiet")), None)
    hours = (time.fromisoformat(quiet["start"]), time.fromisoformat(quiet["end"])) if quiet else None
    return Terms(timedelta(seconds=grace_s), hours, ZoneInfo(zone))


def get_many(ids: Iterable[ObjectId]) -> dict[ObjectId, Stored]:
    """The rules of these organizations and devices, as far as they have any."""
    return {row["_id"]: row for row in Rule.objects(id__in=list(ids)).as_pymongo()}


def get(actor: Actor) -> dict[str, Any]:
    """The rule of the caller's organization, as `OfflineRuleSchema` shows it."""
    return _shown(organizations.get(actor).timezone, _stored(actor, actor.organization_id))


def get_for(actor: Actor, device_id: str) -> dict[str, Any]:
    """What a device has of its own, and what holds for it; raises DeviceNotFound."""
    device = devices.row_of(actor, device_id)
    own = _stored(actor, device["_id"])
    zone = organizations.get(actor).timezone
    return {
        "device_id": str(device["_id"]),
        "grace_seconds": own.get("grace_s"),
        "quiet_hours": own.get("quiet"),
        "applied": _shown(zone, own, _stored(actor, actor.organization_id)),
    }


def update(actor: Actor, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change the rule of the caller's organization; what is None is as without a rule, what is not named stays."""
    _update(actor, ObjectId(actor.organization_id), changes)
    return get(actor)


def update_for(actor: Actor, device_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change what a device has of its own; raises DeviceNotFound or DeviceNotYours."""
    _update(actor, access.demand(actor, device_id), changes, _id=access.parsed(device_id))
    return get_for(actor, device_id)


def _update(actor: Actor, of: ObjectId, changes: Mapping[str, Any], **waiting: ObjectId) -> None:
    names = {"grace_seconds": "grace_s", "quiet_hours": "quiet"}
    stored = {names[name]: value for name, value in changes.items()}
    if not stored:
        return
    organization_id = ObjectId(actor.organization_id)
    with audit.intended(actor, "notification_rule.updated", target=str(of), changes=changes):
        rule = {"_id": of, "organization_id": organization_id}
        Rule._get_collection().update_one(rule, {"$set": stored}, upsert=True)
    # Those that wait by the rule before are judged anew.
    unclaimed = {"notice.due_at": {"$exists": True}, "notice.group": {"$exists": False}}
    Device._get_collection().update_many(
        {"organization_id": organization_id, **unclaimed, **waiting}, {"$set": {"notice.due_at": clock.now()}}
    )


def _stored(actor: Actor, of: str | ObjectId) -> Stored:
    found: Stored | None = Rule.objects.visible_to(actor).filter(id=ObjectId(of)).as_pymongo().first()
    return found or {}


def _shown(zone: str, *rules: Stored) -> dict[str, Any]:
    held = terms(zone, *rules)
    spelled = [hour.isoformat("minutes") for hour in held.quiet or ()]
    return {
        "grace_seconds": round(held.grace.total_seconds()),
        "quiet_hours": dict(zip(("start", "end"), spelled, strict=True)) if spelled else None,
        "timezone": zone,
    }
