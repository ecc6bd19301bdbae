"""Roll-ups: logs counted while they are written, so that no question has to read them again.

Logs are folded by organization, device, event and quarter of an hour (of which every zone in use is made), and the
rest from those: one update for each document, however many logs there are.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession

from devicehub.core import calendar
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Zone

QUARTER_S, QUARTERS_A_DAY = 900, 96
SHARDS = 8
_OPERATORS = {"lo": "$min", "hi": "$max"}

Row = Mapping[str, Any]


class Leaf(NamedTuple):
    """What is counted together: `quarter` is a number of quarters of an hour since the epoch."""

    organization_id: ObjectId
    device_id: ObjectId
    event: str
    quarter: int


class Tally:
    """How many logs, how many of them have a value, and of these the sum, the least and the greatest."""

    __slots__ = ("count", "greatest", "least", "sum", "values")

    def __init__(self, count: int = 0, values: int = 0, total: float = 0.0) -> None:
        self.count, self.values, self.sum = count, values, total
        self.least: float | None = None
        self.greatest: float | None = None

    def add(self, value: float | None) -> None:
        self.count += 1
        if value is not None:
            self.values += 1
            self.sum += value
            self._reach(value, value)

    def merge(self, other: "Tally") -> None:
        self.count += other.count
        self.values += other.values
        self.sum += other.sum
        if other.least is not None and other.greatest is not None:
            self._reach(other.least, other.greatest)

    def _reach(self, least: float, greatest: float) -> None:
        self.least = least if self.least is None or least < self.least else self.least
        self.greatest = greatest if self.greatest is None or greatest > self.greatest else self.greatest

    @classmethod
    def of(cls, stored: Row) -> "Tally":
        """The one that a document holds under `c`, `n`, `s`, `lo` and `hi`."""
        made = cls(stored.get("c", 0), stored.get("n", 0), stored.get("s", 0.0))
        made.least, made.greatest = stored.get("lo"), stored.get("hi")
        return made


Leaves = Mapping[Leaf, Tally]
Document = dict[str, Any]
Documents = dict[type[Any], list[Document]]
Updates = dict[type[Any], list[UpdateOne]]
KEYS: Mapping[type[Any], Sequence[str]] = {
    DeviceDay: ("organization_id", "device_id", "at", "event"),
    Hour: ("organization_id", "at", "part"),
    Day: ("organization_id", "zone", "at", "part"),
}


def fold(rows: Iterable[Row]) -> Leaves:
    """The leaves of these logs."""
    leaves: dict[Leaf, Tally] = {}
    for row in rows:
        leaf = Leaf(
            row["organization_id"], row["device_id"], row["event"], int(row["at"].timestamp()) // QUARTER_S
        )
        tally = leaves.get(leaf)
        if tally is None:
            tally = leaves[leaf] = Tally()
        tally.add(row.get("value"))
    return leaves


def taken_back(leaves: Leaves) -> Leaves:
    """What has to be added where these leaves are to be counted no more; of devices' days, those are deleted."""
    return {leaf: Tally(-tally.count, -tally.values, -tally.sum) for leaf, tally in leaves.items()}


def updates(leaves: Leaves, zones: Mapping[ObjectId, str]) -> Updates:
    """All that these leaves add, by document; `zones` are those beside UTC that organizations count days in."""
    return {
        document: [update(document, each) for each in many]
        for document, many in documents(leaves, zones).items()
    }


def documents(leaves: Leaves, zones: Mapping[ObjectId, str]) -> Documents:
    """The same as whole documents, as they are where nothing else was counted in them."""
    return {
        DeviceDay: _device_days(leaves),
        Hour: _hours(leaves),
        Day: [each for zone, some in _by_zone(leaves, zones).items() for each in days(some, zone)],
    }


def update(document: type[Any], counted: Document) -> UpdateOne:
    """What adds all that is counted in one document to the stored one of its key, made if there is none."""
    key = {name: counted[name] for name in KEYS[document]}
    operators: dict[str, dict[str, float]] = {"$inc": {}, "$min": {}, "$max": {}}
    for name, part in counted.items():
        if name not in key and name != "_id":
            _spell_out(operators, name, part)
    return UpdateOne(key, {name: each for name, each in operators.items() if each}, upsert=True)


def _spell_out(operators: dict[str, dict[str, float]], path: str, part: Any) -> None:
    if not isinstance(part, dict):
        operators["$inc"][path] = part
        return
    for name, inner in part.items():
        if isinstance(inner, dict):
            _spell_out(operators, f"{path}.{name}", inner)
        else:
            operators[_OPERATORS.get(name, "$inc")][f"{path}.{name}"] = inner


def zones_of(session: ClientSession | None, organization_ids: Iterable[ObjectId]) -> dict[ObjectId, str]:
    """The zones beside UTC that these organizations count days in, of those that have one."""
    chosen = {"_id": {"$in": list(organization_ids)}}
    return {row["_id"]: row["zone"] for row in Zone._get_collection().find(chosen, session=session)}


def _by_zone(leaves: Leaves, zones: Mapping[ObjectId, str]) -> dict[str, Leaves]:
    found: dict[str, dict[Leaf, Tally]] = {"UTC": dict(leaves)}
    for leaf, tally in leaves.items():
        if (zone := zones.get(leaf.organization_id)) is not None:
            found.setdefault(zone, {})[leaf] = tally
    return {**found}


def _device_days(leaves: Leaves) -> list[Document]:
    found: dict[tuple[ObjectId, ObjectId, str, int], Document] = {}
    for (organization_id, device_id, event, quarter), tally in leaves.items():
        day, number = divmod(quarter, QUARTERS_A_DAY)
        counted = found.get(key := (organization_id, device_id, event, day))
        if counted is None:
            at = moment_of(day * QUARTERS_A_DAY)
            owner = {"organization_id": organization_id, "device_id": device_id}
            counted = found[key] = {**owner, "at": at, "event": event, "t": {}, "q": {}}
        _count(counted["t"], tally, spans=True)
        _count(counted["q"].setdefault(str(number), {}), tally, spans=True)
    return list(found.values())


def _hours(leaves: Leaves) -> list[Document]:
    parts = _Parts({})
    for leaf, tally in leaves.items():
        hour, number = divmod(leaf.quarter, 4)
        whole = parts.count(moment_of(hour * 4), leaf, tally)
        quarter = whole.setdefault("q", {}).setdefault(str(number), {})
        _count(quarter, tally, values=leaf.event == USAGE)
    return parts.documents()


def days(leaves: Leaves, zone: str) -> list[Document]:
    """What these leaves come to in the days of `zone`."""
    parts = _Parts({"zone": zone})
    for leaf, tally in leaves.items():
        parts.count(_day_of(leaf.quarter, zone), leaf, tally)
    return parts.documents()


class _Parts:
    """Hours or days of organizations: of each, one document of all it logged, and some of its devices."""

    def __init__(self, of: Document) -> None:
        self._of = of
        self._found: dict[tuple[ObjectId, datetime, str], Document] = {}

    def count(self, at: datetime, leaf: Leaf, tally: Tally) -> Document:
        """Count a leaf in the hour or day that begins `at`; returns the document of all."""
        whole = self._part(leaf.organization_id, at, "all")
        whole["c"] = whole.get("c", 0) + tally.count
        _count(whole.setdefault("e", {}).setdefault(spelled(leaf.event), {}), tally)
        some = self._part(leaf.organization_id, at, shard_of(leaf.device_id)).setdefault("d", {})
        _count(some.setdefault(str(leaf.device_id), {}), tally, values=leaf.event == USAGE)
        return whole

    def _part(self, organization_id: ObjectId, at: datetime, part: str) -> Document:
        found = self._found.get(key := (organization_id, at, part))
        if found is None:
            self._found[key] = found = {"organization_id": organization_id, **self._of, "at": at, "part": part}
        return found

    def documents(self) -> list[Document]:
        return list(self._found.values())


def _count(part: Document, tally: Tally, *, values: bool = True, spans: bool = False) -> None:
    """Add a tally to part of a document; of its values no more than is kept there."""
    part["c"] = part.get("c", 0) + tally.count
    if not values or not tally.values:
        return
    part["n"] = part.get("n", 0) + tally.values
    part["s"] = part.get("s", 0.0) + tally.sum
    if spans and tally.least is not None and tally.greatest is not None:
        part["lo"] = min(tally.least, part.get("lo", tally.least))
        part["hi"] = max(tally.greatest, part.get("hi", tally.greatest))


def shard_of(device_id: ObjectId) -> str:
    """The part that counts this device."""
    return str(device_id.binary[-1] % SHARDS)


@lru_cache(65_536)
def _day_of(quarter: int, zone: str) -> datetime:
    return calendar.floor(moment_of(quarter), "day", ZoneInfo(zone))


@lru_cache(65_536)
def moment_of(quarter: int) -> datetime:
    """When a quarter of an hour begins."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC)


def spelled(event: str) -> str:
    """An event as the name of a field: in paths, MongoDB reads a dot as a step and `$` as an operator."""
    return event.replace("%", "%25").replace(".", "%2E").replace("$", "%24")


def read(name: str) -> str:
    """The event that `spelled` made this name of."""
    return name.replace("%24", "$").replace("%2E", ".").replace("%25", "%")
