"""Counting again: when an organization's zone is another, and when what was counted is not what the logs say.

Each day is counted again in one transaction that begins by touching a document that every writer of that day
touches, too. So whoever writes at the same time comes before it or after it, and is counted once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.client_session import ClientSession

from devicehub.core import calendar, transactions
from devicehub.logs import rollups, updates
from devicehub.logs.models import Day, DeviceDay, Hour, Log, Zone
from devicehub.logs.rollups import Leaves, Series, Tally

DAY = timedelta(days=1)
PATIENCE_S = 25.0  # MongoDB ends a transaction after 30, or after 60 where nobody has told it
UTC = ZoneInfo("UTC")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """One day of an organization: how many logs there are, and how many of its counts were wrong."""

    organization_id: ObjectId
    day: datetime
    logs: int
    wrong: int


def days_of(organization_id: ObjectId) -> Iterator[datetime]:
    """The days of UTC on which an organization logged anything, in order."""
    chosen = {"organization_id": organization_id, "zone": "UTC", "part": "all"}
    yield from (row["at"] for row in Day._get_collection().find(chosen, {"at": 1}).sort("at", 1))


def keep_zone(organization_id: ObjectId, zone: str) -> Iterator[datetime]:
    """Count an organization's days in `zone`, too, and in no other but UTC; gives each day that is done."""
    zones, days, owner = Zone._get_collection(), Day._get_collection(), {"organization_id": organization_id}
    present = zones.find_one({"_id": organization_id})
    if present is not None and present["zone"] == zone and present.get("ready"):
        return
    if zone == "UTC":
        zones.delete_one({"_id": organization_id})
    else:
        zones.replace_one({"_id": organization_id}, {"zone": zone, "ready": False}, upsert=True)
    days.delete_many({**owner, "zone": {"$nin": ["UTC", zone]}})
    if zone == "UTC":
        return
    of_utc = list(days_of(organization_id))
    ends = [each for day in of_utc for each in (day, day + DAY - timedelta(seconds=1))]
    for start in sorted({calendar.floor(each, "day", ZoneInfo(zone)) for each in ends}):
        transactions.run(partial(_count_day, organization_id, start, zone), timeout_s=PATIENCE_S)
        yield start
    zones.update_one({"_id": organization_id, "zone": zone}, {"$set": {"ready": True}})


def check(organization_id: ObjectId, day: datetime, *, oldest: datetime | None = None) -> Checked:
    """Compare what was counted of a day of UTC with its logs; where they differ, count it again.

    Of days of another zone that begin before `oldest`, logs are missing because of their age alone.
    """
    return transactions.run(lambda session: _check(session, organization_id, day, oldest), timeout_s=PATIENCE_S)


def _check(session: ClientSession, organization_id: ObjectId, day: datetime, oldest: datetime | None) -> Checked:
    _come_first(session, organization_id, day)
    leaves = rollups.fold(_logs(session, organization_id, day, day + DAY))
    wrong = _differences(session, organization_id, day, leaves)
    (_, *others) = _days(session, organization_id, day)
    wrong += sum(
        _day_is_wrong(session, organization_id, *each) for each in others if oldest is None or each[0] >= oldest
    )
    if wrong:
        _count_again(session, organization_id, day, leaves)
    logs = sum(tally.count for quarters in leaves.values() for tally in quarters.values())
    return Checked(organization_id, day, logs, wrong)


def _come_first(session: ClientSession, organization_id: ObjectId, day: datetime) -> None:
    """Whoever writes a log of this day has to write this document as well."""
    key = {"organization_id": organization_id, "zone": "UTC", "at": day, "part": "all"}
    Day._get_collection().update_one(key, {"$inc": {"rebuilds": 1}}, upsert=True, session=session)


def _logs(session: ClientSession, organization_id: ObjectId, start: datetime, end: datetime) -> Iterator[Row]:
    chosen = {"organization_id": organization_id, "at": {"$gte": start, "$lt": end}}
    wanted = {"organization_id": 1, "device_id": 1, "event": 1, "value": 1, "at": 1}
    yield from Log._get_collection().find(chosen, wanted, session=session)


def _count_day(organization_id: ObjectId, start: datetime, zone: str, session: ClientSession) -> None:
    end = calendar.after(start, "day", ZoneInfo(zone))
    for day in calendar.starts(start, end, "day", UTC):
        _come_first(session, organization_id, day)
    leaves = rollups.fold(_logs(session, organization_id, start, end))
    _replace_day(session, organization_id, start, zone, leaves)


def _replace_day(
    session: ClientSession, organization_id: ObjectId, start: datetime, zone: str, leaves: Leaves
) -> None:
    days, owner = Day._get_collection(), {"organization_id": organization_id, "zone": zone}
    days.delete_many({**owner, "at": start, "part": {"$in": ["all", *rollups.OF_DAYS]}}, session=session)
    if counted := [updates.of_one(Day, each) for each in rollups.days(leaves, zone)]:
        days.bulk_write(counted, ordered=False, session=session)
    count_week(session, organization_id, start, zone)


def count_week(session: ClientSession, organization_id: ObjectId, day: datetime, zone: str) -> None:
    """Make up the week that a day of `zone` lies in from its days.

    Who writes a log of any of them at the same time writes the same document, so one of the two comes first.
    """
    days = Day._get_collection()
    days.delete_many(_week(organization_id, day, zone), session=session)
    if counted := rollups.weeks(days.find(_days_of_week(organization_id, day, zone), session=session)):
        days.insert_many(counted, session=session)


def _week(organization_id: ObjectId, day: datetime, zone: str) -> Row:
    owner = {"organization_id": organization_id, "zone": zone}
    return {**owner, "at": rollups.week_of(day, zone), "part": {"$in": rollups.OF_WEEKS}}


def _days_of_week(organization_id: ObjectId, day: datetime, zone: str) -> Row:
    start = rollups.week_of(day, zone)
    span = {"$gte": start, "$lt": calendar.after(start, "week", ZoneInfo(zone))}
    return {"organization_id": organization_id, "zone": zone, "at": span, "part": {"$in": rollups.OF_DAYS}}


def _count_again(session: ClientSession, organization_id: ObjectId, day: datetime, leaves: Leaves) -> None:
    """Replace all that was counted of a day of UTC, and of the days of the other zone that it has a part in."""
    span = {"organization_id": organization_id, "at": {"$gte": day, "$lt": day + DAY}}
    counted = updates.of(leaves, {})
    for document in (Hour, DeviceDay):
        collection = document._get_collection()
        collection.delete_many(span, session=session)
        if counted[document]:
            collection.bulk_write(counted[document], ordered=False, session=session)
    _replace_day(session, organization_id, day, "UTC", leaves)
    (_, *others) = _days(session, organization_id, day)
    for start, zone in others:
        _count_day(organization_id, start, zone, session)


def _differences(session: ClientSession, organization_id: ObjectId, day: datetime, leaves: Leaves) -> int:
    """How many counts of a day of UTC are not what its logs say."""
    span = {"organization_id": organization_id, "at": {"$gte": day, "$lt": day + DAY}}
    counted = {
        (series, quarter): tally for series, quarters in leaves.items() for quarter, tally in quarters.items()
    }
    found: dict[tuple[Series, int], Tally] = {}
    for row in DeviceDay._get_collection().find(span, session=session):
        series = Series(organization_id, row["device_id"], row["event"])
        first = int(row["at"].timestamp()) // rollups.QUARTER_S
        found |= {(series, first + int(number)): Tally.of(stored) for number, stored in row["q"].items()}
    wrong = sum(not _same(found.get(one, Tally()), counted.get(one, Tally())) for one in {*found, *counted})
    of_utc = {**span, "zone": "UTC", "part": {"$in": ["all", *rollups.OF_DAYS]}}
    of_hours, of_days = _summed(Hour, session, span), _summed(Day, session, of_utc)
    of_weeks = sum(
        _week_is_wrong(session, organization_id, *each) for each in _days(session, organization_id, day)
    )
    return wrong + (of_hours != _counts(leaves)) + (of_days != _counts(leaves)) + of_weeks


def _days(session: ClientSession, organization_id: ObjectId, day: datetime) -> Iterator[tuple[datetime, str]]:
    """A day of UTC, and those of the organization's other zone that have a part in it."""
    yield day, "UTC"
    zone = rollups.zones_of(session, [organization_id]).get(organization_id)
    if zone is not None:
        yield from ((start, zone) for start in calendar.starts(day, day + DAY, "day", ZoneInfo(zone)))


def _day_is_wrong(session: ClientSession, organization_id: ObjectId, start: datetime, zone: str) -> bool:
    end = calendar.after(start, "day", ZoneInfo(zone))
    leaves = rollups.fold(_logs(session, organization_id, start, end))
    owner, parts = {"organization_id": organization_id, "zone": zone}, ["all", *rollups.OF_DAYS]
    found = _summed(Day, session, {**owner, "at": start, "part": {"$in": parts}})
    return found != _counts(leaves)


def _week_is_wrong(session: ClientSession, organization_id: ObjectId, day: datetime, zone: str) -> bool:
    found = _summed(Day, session, _week(organization_id, day, zone))
    return found != _summed(Day, session, _days_of_week(organization_id, day, zone))


def _same(one: Tally, other: Tally) -> bool:
    close = abs(one.sum - other.sum) <= 1e-6 * max(1.0, abs(one.sum))
    return close and (one.count, one.values) == (other.count, other.values)


def _counts(leaves: Leaves) -> dict[str, int]:
    """How many logs of each event and each device."""
    found: dict[str, int] = {}
    for series, quarters in leaves.items():
        count = sum(tally.count for tally in quarters.values())
        for name in (f"e.{rollups.spelled(series.event)}", f"d.{series.device_id}"):
            found[name] = found.get(name, 0) + count
    return found


def _summed(document: type[Hour] | type[Day], session: ClientSession, chosen: Row) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in document._get_collection().find(chosen, session=session):
        for kind in ("e", "d"):
            for name, stored in row.get(kind, {}).items():
                key = f"{kind}.{name}"
                found[key] = found.get(key, 0) + stored["c"]
    return {name: count for name, count in found.items() if count}
