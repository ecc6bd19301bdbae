"""Roll-ups: logs counted while they are written, so that no question has to read them again.

Logs are folded by organization, device, event and quarter of an hour (of which every zone in use is made), and the
rest from those: one update for each document, however many logs there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
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


class Update:
    """What is added to one document."""

    __slots__ = ("_greatest", "_least", "_sums")

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._least: dict[str, float] = {}
        self._greatest: dict[str, float] = {}

    def count(self, path: str, number: float) -> None:
        self._sums[path] = self._sums.get(path, 0) + number

    def tally(self, path: str, tally: Tally, *, spans: bool = True) -> None:
        """Add a tally at `path`; its least and greatest only with `spans`."""
        self.count(f"{path}.c", tally.count)
        if not tally.values:
            return
        self.count(f"{path}.n", tally.values)
        self.count(f"{path}.s", tally.sum)
        if spans and tally.least is not None and tally.greatest is not None:
            self._least[f"{path}.lo"] = min(tally.least, self._least.get(f"{path}.lo", tally.least))
            self._greatest[f"{path}.hi"] = max(tally.greatest, self._greatest.get(f"{path}.hi", tally.greatest))

    def write(self, key: Row) -> UpdateOne:
        """The update of the document that has this key, made if there is none."""
        operators = {"$inc": self._sums, "$min": self._least, "$max": self._greatest}
        return UpdateOne(key, {name: each for name, each in operators.items() if each}, upsert=True)

    def document(self, key: Row) -> dict[str, Any]:
        """The document that has this key, where it is known that there is none."""
        made: dict[str, Any] = {**key}
        for path, value in (*self._sums.items(), *self._least.items(), *self._greatest.items()):
            *steps, last = path.split(".")
            inside = made
            for step in steps:
                inside = inside.setdefault(step, {})
            inside[last] = value
        return made


Leaves = Mapping[Leaf, Tally]
Updates = dict[type[Any], list[UpdateOne]]


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
        DeviceDay: [update.write(key) for key, update in _by_device_day(leaves)],
        **updates_of_organizations(leaves, zones),
    }


def updates_of_organizations(leaves: Leaves, zones: Mapping[ObjectId, str]) -> Updates:
    """Of these, what they add to the hours and days of organizations."""
    return {
        Hour: list(_hours(leaves)),
        Day: [one for each in _by_zone(leaves, zones).items() for one in days(each[1], each[0])],
    }


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


def new_device_days(leaves: Leaves) -> Iterator[dict[str, Any]]:
    """The days of devices that have none of these yet, as documents."""
    return (update.document(key) for key, update in _by_device_day(leaves))


def _by_device_day(leaves: Leaves) -> Iterator[tuple[Row, Update]]:
    found: defaultdict[tuple[ObjectId, ObjectId, str, int], Update] = defaultdict(Update)
    for (organization_id, device_id, event, quarter), tally in leaves.items():
        update = found[organization_id, device_id, event, quarter // QUARTERS_A_DAY]
        update.tally("t", tally)
        update.tally(f"q.{quarter % QUARTERS_A_DAY}", tally)
    for (organization_id, device_id, event, day), update in found.items():
        at = moment_of(day * QUARTERS_A_DAY)
        key = {"organization_id": organization_id, "device_id": device_id, "at": at, "event": event}
        yield key, update


def _hours(leaves: Leaves) -> Iterator[UpdateOne]:
    found: defaultdict[tuple[ObjectId, int, str], Update] = defaultdict(Update)
    for leaf, tally in leaves.items():
        hour = leaf.quarter // 4
        whole = found[leaf.organization_id, hour, "all"]
        _count(whole, found[leaf.organization_id, hour, shard_of(leaf.device_id)], leaf, tally)
        path = f"q.{leaf.quarter % 4}"
        whole.count(f"{path}.c", tally.count)
        if leaf.event == USAGE and tally.values:
            whole.count(f"{path}.n", tally.values)
            whole.count(f"{path}.s", tally.sum)
    for (organization_id, hour, part), update in found.items():
        yield update.write({"organization_id": organization_id, "at": moment_of(hour * 4), "part": part})


def days(leaves: Leaves, zone: str) -> Iterator[UpdateOne]:
    """What these leaves add to the days of `zone`."""
    found: defaultdict[tuple[ObjectId, datetime, str], Update] = defaultdict(Update)
    for leaf, tally in leaves.items():
        day = _day_of(leaf.quarter, zone)
        whole = found[leaf.organization_id, day, "all"]
        _count(whole, found[leaf.organization_id, day, shard_of(leaf.device_id)], leaf, tally)
    for (organization_id, day, part), update in found.items():
        yield update.write({"organization_id": organization_id, "zone": zone, "at": day, "part": part})


def _count(whole: Update, shard: Update, leaf: Leaf, tally: Tally) -> None:
    whole.count("c", tally.count)
    whole.tally(f"e.{spelled(leaf.event)}", tally, spans=False)
    path = f"d.{leaf.device_id}"
    shard.count(f"{path}.c", tally.count)
    if leaf.event == USAGE and tally.values:
        shard.count(f"{path}.n", tally.values)
        shard.count(f"{path}.s", tally.sum)


def shard_of(device_id: ObjectId) -> str:
    """The part that counts this device."""
    return str(device_id.binary[-1] % SHARDS)


@lru_cache(65_536)
def _day_of(quarter: int, zone: str) -> datetime:
    return calendar.floor(moment_of(quarter), "day", ZoneInfo(zone))


def moment_of(quarter: int) -> datetime:
    """When a quarter of an hour begins."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC)


def spelled(event: str) -> str:
    """An event as the name of a field: in paths, MongoDB reads a dot as a step and `$` as an operator."""
    return event.replace("%", "%25").replace(".", "%2E").replace("$", "%24")


def read(name: str) -> str:
    """The event that `spelled` made this name of."""
    return name.replace("%24", "$").replace("%2E", ".").replace("%25", "%")
