"""The device report: what devices there are, how they are now, and how available they were."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from bson import ObjectId

from devicehub.analytics import figures
from devicehub.analytics.figures import Fleet
from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.devices import history
from devicehub.devices.history import Availability
from devicehub.devices.models import PRESENCES, STATUSES, Device
from devicehub.organizations import service as organizations
from devicehub.reports.batches import batches
from devicehub.reports.report import Chart, Column, Report, Row, Series, Table
from devicehub.reports.usage import MOST_IN_A_CHART
from devicehub.users.models import User

BATCH = 500
AVAILABLE_IN = timedelta(days=30)

_SUMMARY = (Column("figure", "Figure"), Column("value", "Devices", "number"))
_COLUMNS = (
    Column("deviceId", "Device id", printed=False),
    Column("deviceName", "Device"),
    Column("deviceType", "Type"),
    Column("status", "Status"),
    Column("presence", "Presence"),
    Column("lastActiveAt", "Last active", "time"),
    Column("availability", "Available %", "number"),
    Column("serialNumber", "Serial number", printed=False),
    Column("location", "Location"),
    Column("tags", "Tags", printed=False),
    Column("firmwareVersion", "Firmware", printed=False),
    Column("heartbeatInterval", "Heartbeat interval in s", "number", printed=False),
    Column("ownerId", "Owner id", printed=False),
    Column("createdAt", "Created", "time", printed=False),
)
# Only administrators may know who the members of an organization are; of the others everybody sees the id.
_OWNER = Column("owner", "Owner", printed=False)
_READ = dict.fromkeys(
    ("name", "type", "status", "presence", "last_active_at", "serial_number", "location", "tags",
     "firmware_version", "heartbeat_interval", "owner_id", "created_at", "transitions", "untold"), 1
)  # fmt: skip


def report(actor: Actor, *, device_ids: Sequence[str], include_inactive: bool) -> Report:
    """All devices the caller may see, or those of these ids; inactive ones only if they are asked for."""
    chosen: dict[str, Any] = {} if include_inactive else {"status": {"$ne": "inactive"}}
    if device_ids:
        chosen["_id"] = {"$in": [ids.parse(one) for one in device_ids]}
    fleet = figures.fleet(actor, chosen)
    return Report(
        "Device report",
        clock.now(),
        organizations.settings_of(actor.organization_id).timezone,
        None,
        [
            _chart("presence", "pie", "Presence", _counts(fleet, 2, PRESENCES)),
            _chart("status", "bar", "Status", _counts(fleet, 1, STATUSES)),
            _chart("types", "bar", "Types", {row["type"]: row["count"] for row in figures.types(fleet)}),
        ],
        [_summary(fleet), _devices(actor, chosen, fleet.total())],
    )


def _counts(fleet: Fleet, place: int, words: Sequence[str]) -> dict[str, int]:
    """How many there are of each of these words that any device has, in their order."""
    found = Counter[str]()
    for key, number in fleet.items():
        found[key[place]] += number
    return {word: found[word] for word in words if found[word]}


def _chart(chart_id: str, kind: Any, title: str, counts: Mapping[str, int]) -> Chart:
    first = list(counts)[:MOST_IN_A_CHART]
    return Chart(chart_id, kind, title, first, [Series("Devices", [counts[one] for one in first])])


def _summary(fleet: Fleet) -> Table:
    presences, statuses = _counts(fleet, 2, PRESENCES), _counts(fleet, 1, STATUSES)
    rows: list[Row] = [("all", fleet.total()), *presences.items(), *statuses.items()]
    return Table("summary", "Summary", _SUMMARY, lambda: iter(rows), len(rows))


def _devices(actor: Actor, chosen: Mapping[str, Any], total: int) -> Table:
    names_owners = actor.is_at_least("admin")

    def rows() -> Iterator[Row]:
        for some in batches(_stored(actor, chosen), BATCH):
            owners = _names({row["owner_id"] for row in some}) if names_owners else {}
            for row, available in zip(some, history.availabilities(actor, some, AVAILABLE_IN), strict=True):
                cells = _cells(row, available)
                yield (*cells, owners.get(row["owner_id"])) if names_owners else cells

    columns = (*_COLUMNS, _OWNER) if names_owners else _COLUMNS
    return Table("devices", "Devices", columns, rows, total)


def _stored(actor: Actor, chosen: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """In the order they were registered, which nothing changes while they are read: each comes once."""
    wanted = {"$and": [seen_by(actor, Device), dict(chosen)]}
    newest_first = [("created_at", -1), ("_id", -1)]
    yield from Device._get_collection().find(wanted, _READ).sort(newest_first).batch_size(BATCH)


def _names(user_ids: set[ObjectId]) -> dict[ObjectId, str]:
    return {user.id: user.name for user in User.objects(id__in=list(user_ids)).only("name")}


def _cells(row: Mapping[str, Any], available: Availability) -> Row:
    return (
        str(row["_id"]),
        row["name"],
        row["type"],
        row["status"],
        row["presence"],
        row.get("last_active_at"),
        available.availability,
        row.get("serial_number"),
        row.get("location"),
        ", ".join(row.get("tags", ())),
        row.get("firmware_version"),
        row["heartbeat_interval"],
        str(row["owner_id"]),
        row["created_at"],
    )
