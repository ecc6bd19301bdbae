"""Deleting logs, and what was counted of them, a bounded number at a time."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from mongoengine import Document
from pymongo.client_session import ClientSession

from devicehub.core import calendar, mongo, transactions
from devicehub.logs import rebuilding, rollups, updates
from devicehub.logs.models import Day, DeviceDay, Hour, Import, ImportPart, Log, Zone

BATCH = 2000
PATIENCE_S = 25.0

# By the name a receipt counts them under; the logs last, for they are what the others are counted from.
_BY_TIME: Mapping[str, type[Document]] = {
    "usageHours": Hour,
    "usageDays": Day,
    "usageOfDevices": DeviceDay,
    "logs": Log,
}
# Before them the imports: without its own, a worker that is at it can write no more.
_OF_ORGANIZATION: Mapping[str, type[Document]] = {"logImports": Import, "logImportParts": ImportPart, **_BY_TIME}


def of_organization(organization_id: str) -> Iterator[tuple[str, int]]:
    """Delete all that an organization logged; gives what each batch was of, and how many."""
    owner = {"organization_id": ObjectId(organization_id)}
    for things, document in _OF_ORGANIZATION.items():
        for number in _in_batches(document, owner):
            yield things, number
    Zone._get_collection().delete_one({"_id": ObjectId(organization_id)})


def of_device(organization_id: str, device_id: str) -> Iterator[tuple[str, int]]:
    """Delete all that a deleted device logged, and take it out of what its organization did."""
    owner = {"organization_id": ObjectId(organization_id), "device_id": ObjectId(device_id)}
    while number := transactions.run(lambda session: _take_back(session, owner), timeout_s=PATIENCE_S):
        yield "logs", number
    for number in _in_batches(DeviceDay, owner):
        yield "usageOfDevices", number


def _take_back(session: ClientSession, owner: Mapping[str, Any]) -> int:
    logs, db = Log._get_collection(), mongo.database()
    rows = list(logs.find(owner, session=session).limit(BATCH))
    if not rows:
        return 0
    zones = rollups.zones_of(session, {row["organization_id"] for row in rows})
    taken_back = updates.of(rollups.taken_back(rollups.fold(rows)), zones)
    for document in (Hour, Day):
        db[document._get_collection_name()].bulk_write(taken_back[document], ordered=False, session=session)
    chosen = {"_id": {"$in": [row["_id"] for row in rows]}}
    return int(logs.delete_many(chosen, session=session).deleted_count)


def before(organization_id: ObjectId, moment: datetime) -> Iterator[tuple[str, int]]:
    """Delete what an organization logged before `moment`, the beginning of an hour, likewise.

    What was counted stays for as long as the day that `moment` lies in: a day always is the sum of its hours that
    are there, and a week of its days.
    """
    zones = ["UTC", *rollups.zones_of(None, [organization_id]).values()]
    days = {zone: calendar.floor(moment, "day", ZoneInfo(zone)) for zone in zones}
    weeks = {zone: rollups.week_of(moment, zone) for zone in zones}
    first = {Day: min(weeks.values()), DeviceDay: days["UTC"], Hour: min(days.values()).replace(minute=0)}
    for things, document in _BY_TIME.items():
        chosen = {"organization_id": organization_id, "at": {"$lt": first.get(document, moment)}}
        for number in _in_batches(document, chosen):
            yield things, number
    for zone, day in days.items():
        if number := transactions.run(partial(_drop_days, organization_id, zone, day), timeout_s=PATIENCE_S):
            yield "usageDays", number


def _drop_days(organization_id: ObjectId, zone: str, day: datetime, session: ClientSession) -> int:
    """Drop the days of a zone before `day`, and what they come to in its week."""
    owner, days = {"organization_id": organization_id, "zone": zone}, Day._get_collection()
    old = {**owner, "at": {"$lt": day}, "part": {"$in": ["all", *rollups.OF_DAYS]}}
    weeks = {**owner, "at": {"$lt": rollups.week_of(day, zone)}, "part": {"$in": rollups.OF_WEEKS}}
    number = sum(days.delete_many(chosen, session=session).deleted_count for chosen in (old, weeks))
    if number:
        rebuilding.count_week(session, organization_id, day, zone)
    return number


def _in_batches(document: type[Document], chosen: Mapping[str, Any]) -> Iterator[int]:
    collection = document._get_collection()
    while True:
        batch = [row["_id"] for row in collection.find(chosen, {"_id": 1}).limit(BATCH)]
        if batch:
            yield int(collection.delete_many({"_id": {"$in": batch}}).deleted_count)
        if len(batch) < BATCH:
            return
