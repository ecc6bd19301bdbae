"""Telling people that a device is offline: after a grace, outside of quiet hours, and once.

The update that makes a device offline says in it that people are to be told (`notice`), and the one that brings
it back takes that away: nothing is lost with Redis or a process, and the presence sweeper has nothing more to do.
This duty looks for those that are due. It *claims* them first, in groups, so that whoever takes over from it finds
the same groups and tells of each under the same key; then it tells; then it takes the notices away.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from devicehub.core import clock
from devicehub.core.duties import Duty
from devicehub.devices.models import Device
from devicehub.devices.presence import Row
from devicehub.mail import service as mail
from devicehub.notifications import rules
from devicehub.notifications import service as notifications
from devicehub.notifications.rules import Stored, Terms
from devicehub.notifications.service import News
from devicehub.organizations.models import Organization
from devicehub.users.models import User

EVERY_S, LEASE_S = 5.0, 15.0
BATCH = 500
MOST_NAMED = 20
# Whoever claimed a group has told of it by then, or died.
AGAIN = timedelta(minutes=1)
_FIELDS = dict.fromkeys(
    ("organization_id", "owner_id", "name", "status", "presence_since", "last_active_at", "signal", "notice"), 1
)


@dataclass(frozen=True, slots=True)
class Place:
    """An organization, as far as its devices' notices are concerned."""

    organization: Stored
    rules: Mapping[ObjectId, Stored]

    def terms_of(self, device: Row) -> Terms:
        own, ours = self.rules.get(device["_id"]), self.rules.get(self.organization["_id"])
        return rules.terms(self.organization.get("timezone", "UTC"), own, ours)

    def audience(self, owners: set[ObjectId]) -> Iterator[User]:
        """Its members who own one of the devices, or want to be told of all."""
        members = [member["user_id"] for member in self.organization.get("members", ())]
        who = {"_id": {"$in": members}, "$or": [{"_id": {"$in": list(owners)}}, {"offline_devices": "all"}]}
        yield from User.objects(__raw__=who).only("email", "offline_devices")


def duty() -> Duty:
    """What one of the serving processes does every few seconds."""
    return Duty("offline-notices", sweep, every=EVERY_S, lease=LEASE_S)


def sweep() -> None:
    """Tell of all devices that are due by now, or say until when they wait."""
    now = clock.now()
    while rows := _due(now):
        places = _places(rows)
        for group in _claim(rows, places, now):
            claimed = {"notice.group": group, "notice.due_at": now + AGAIN}
            devices = list(_devices().find(claimed, _FIELDS).sort("_id", 1))  # those that did not come back
            if devices:
                _tell(group, devices, places.get(devices[0]["organization_id"]))
                _devices().update_many(claimed, {"$unset": {"notice": ""}})


def _due(now: datetime) -> list[Row]:
    return list(_devices().find({"notice.due_at": {"$lte": now}}, _FIELDS).sort("notice.due_at", 1).limit(BATCH))


def _devices() -> Any:
    return Device._get_collection()


def _places(rows: list[Row]) -> dict[ObjectId, Place]:
    ids = {row["organization_id"] for row in rows}
    found = rules.get_many({*ids, *(row["_id"] for row in rows)})
    alive = Organization.objects(id__in=list(ids), deleted_at=None).only("name", "timezone", "members")
    return {row["_id"]: Place(row, found) for row in alive.as_pymongo()}


def _claim(rows: list[Row], places: Mapping[ObjectId, Place], now: datetime) -> list[ObjectId]:
    """Say of each what comes of it, if nobody was faster; returns the groups to be told of now.

    Those that were claimed before are due because whoever did it died: their group is taken over as it is.
    """
    fresh = {organization_id: ObjectId() for organization_id in places}
    taken = {(row["notice"]["group"], row["notice"]["due_at"]) for row in rows if "group" in row["notice"]}
    for group, due_at in taken:
        _devices().update_many(
            {"notice.group": group, "notice.due_at": due_at}, {"$set": {"notice.due_at": now + AGAIN}}
        )
    unclaimed = [row for row in rows if "group" not in row["notice"]]
    if unclaimed:
        _devices().bulk_write(
            [_judgement(row, places.get(row["organization_id"]), fresh, now) for row in unclaimed], ordered=False
        )
    return [*fresh.values(), *(group for group, _ in taken)]


def _judgement(row: Row, place: Place | None, groups: Mapping[ObjectId, ObjectId], now: datetime) -> UpdateOne:
    as_read = {"_id": row["_id"], "notice": row["notice"]}
    if place is None or row["status"] == "maintenance":  # nobody is there, or nobody misses it
        return UpdateOne(as_read, {"$unset": {"notice": ""}})
    due_at = place.terms_of(row).due(row["presence_since"], now)
    if due_at > now:
        return UpdateOne(as_read, {"$set": {"notice.due_at": due_at}})
    claimed = {"due_at": now + AGAIN, "group": groups[row["organization_id"]]}
    return UpdateOne(as_read, {"$set": {"notice": claimed}})


def _tell(group: ObjectId, devices: list[Row], place: Place | None) -> None:
    if place is None:  # it was deleted since
        return
    key = f"device_offline:{group}"
    for user in place.audience({device["owner_id"] for device in devices}):
        theirs = [one for one in devices if user.offline_devices == "all" or one["owner_id"] == user.id]
        notifications.notify(str(user.id), _news(theirs, place), key=key)
        mail.send(
            "device_offline", user.email, _facts(theirs, place), key=f"{key}:{user.id}", user_id=str(user.id)
        )


def _news(devices: list[Row], place: Place) -> News:
    first, name = devices[0], place.organization["name"]
    if len(devices) == 1:
        title, message = f"{first['name']} is offline", _message(first)
    else:
        title = f"{len(devices)} devices are offline"
        message = f"Nothing is heard any more of {first['name']} and {len(devices) - 1} more of {name}."
    data = {"deviceId": str(first["_id"]), "count": len(devices), "devices": _named(devices)}
    return News("device_offline", title, message, data, str(place.organization["_id"]))


def _message(device: Row) -> str:
    signal = device.get("signal") or {}
    if signal.get("kind") != "goodbye":
        return f"Nothing is heard any more of {device['name']}."
    return f"{device['name']} said goodbye" + (f": {signal['reason']}" if signal.get("reason") else ".")


def _facts(devices: list[Row], place: Place) -> dict[str, Any]:
    return {
        "organizationName": place.organization["name"],
        "count": len(devices),
        "devices": _named(devices),
    }


def _named(devices: list[Row]) -> list[dict[str, str]]:
    return [
        {"deviceId": str(one["_id"]), "name": one["name"], "lastActiveAt": clock.rfc3339(one["last_active_at"])}
        for one in devices[:MOST_NAMED]
    ]
