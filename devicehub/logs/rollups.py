"""Roll-ups: logs counted while they are written, so that no question has to read them again.

Logs are folded by organization, device, event and quarter of an hour (of which every zone in use is made), and
documents of days and hours from those, however many logs there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.client_session import ClientSession

from devicehub.core import calendar
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Zone

QUARTER_S, QUARTERS_A_DAY = 900, 96
SHARDS = 8
# The parts of days that count devices, and those of the weeks they make up, which lie beside them.
OF_DAYS = tuple(str(number) for number in range(SHARDS))
OF_WEEKS = tuple(f"w{part}" for part in OF_DAYS)

Row = Mapping[str, Any]


class Series(NamedTuple):
    """What is counted together, by quarters of an hour since the epoch."""

    organization_id: ObjectId
    device_id: ObjectId
    event: str


class Tally:
    """How many logs, how many of them have a value, and of these the sum, the least and the greatest."""

    __slots__ = ("count", "greatest", "least", "sum", "values")

    def __init__(self, count: int = 0, values: int = 0, total: float = 0.0) -> None:
        self.count, self.values, self.sum = count, values, total
        self.least: float | None = None
        self.greatest: float | None = None

    def add(self, value: float | None) -> None:
        self.count += 1
        if value is None:
            return
        self.values += 1
        self.sum += value
        if self.least is None or self.greatest is None:
            self.least = self.greatest = value
        elif value < self.least:
            self.least = value
        elif value > self.greatest:
            self.greatest = value

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


Leaves = Mapping[Series, Mapping[int, Tally]]
Document = dict[str, Any]
Documents = dict[type[Any], list[Document]]


def fold(rows: Iterable[Row]) -> Leaves:
    """The leaves of these logs."""
    leaves: dict[Series, dict[int, Tally]] = {}
    last_device = last_event = quarters = None
    for row in rows:
        device_id, event = row["device_id"], row["event"]
        if quarters is None or device_id is not last_device or event != last_event:  # a batch is mostly of one
            quarters = leaves.setdefault(Series(row["organization_id"], device_id, event), {})
            last_device, last_event = device_id, event
        quarter = int(row["at"].timestamp()) // QUARTER_S
        tally = quarters.get(quarter)
        if tally is None:
            tally = quarters[quarter] = Tally()
        tally.add(row.get("value"))
    return leaves


def taken_back(leaves: Leaves) -> Leaves:
    """What has to be added where these leaves are to be counted no more; of devices' days, those are deleted."""
    return {
        series: {quarter: Tally(-tally.count, -tally.values, -tally.sum) for quarter, tally in quarters.items()}
        for series, quarters in leaves.items()
    }


def documents(leaves: Leaves, zones: Mapping[ObjectId, str]) -> Documents:
    """All that these leaves come to, in whole documents, as they are where nothing else was counted in them.

    `zones` are those beside UTC that organizations count days in.
    """
    return {
        DeviceDay: list(_device_days(leaves)),
        Hour: _hours(leaves),
        Day: [each for zone, some in _by_zone(leaves, zones).items() for each in _days_and_weeks(some, zone)],
    }


def zones_of(session: ClientSession | None, organization_ids: Iterable[ObjectId]) -> dict[ObjectId, str]:
    """The zones beside UTC that these organizations count days in, of those that have one."""
    chosen = {"_id": {"$in": list(organization_ids)}}
    return {row["_id"]: row["zone"] for row in Zone._get_collection().find(chosen, session=session)}


def _by_zone(leaves: Leaves, zones: Mapping[ObjectId, str]) -> dict[str, Leaves]:
    found: dict[str, dict[Series, Mapping[int, Tally]]] = {"UTC": dict(leaves)}
    for series, quarters in leaves.items():
        if (zone := zones.get(series.organization_id)) is not None:
            found.setdefault(zone, {})[series] = quarters
    return {**found}


def _device_days(leaves: Leaves) -> Iterator[Document]:
    for series, quarters in leaves.items():
        found: dict[int, Document] = {}
        for quarter, tally in quarters.items():
            day, number = divmod(quarter, QUARTERS_A_DAY)
            counted = found.get(day)
            if counted is None:
                at = moment_of(day * QUARTERS_A_DAY)
                counted = found[day] = {**series._asdict(), "at": at, "t": {}, "q": {}}
            _count(counted["t"], tally, spans=True)
            part: Document = {}
            counted["q"][str(number)] = part
            _count(part, tally, spans=True)
        yield from found.values()


def _hours(leaves: Leaves) -> list[Document]:
    parts = _Parts({})
    for series, quarters in leaves.items():
        hours: defaultdict[datetime, list[tuple[str, Tally]]] = defaultdict(list)
        for quarter, tally in quarters.items():
            hours[moment_of(quarter // 4 * 4)].append((str(quarter % 4), tally))
        wholes = parts.count(series, {at: [tally for _, tally in some] for at, some in hours.items()})
        for whole, some in zip(wholes, hours.values(), strict=True):
            told = whole.setdefault("q", {})
            for number, tally in some:
                _count(told.setdefault(number, {}), tally, values=series.event == USAGE)
    return list(parts.documents())


def days(leaves: Leaves, zone: str) -> list[Document]:
    """What these leaves come to in the days of `zone`."""
    parts = _Parts({"zone": zone})
    for series, quarters in leaves.items():
        found: defaultdict[datetime, list[Tally]] = defaultdict(list)
        for quarter, tally in quarters.items():
            found[_day_of(quarter, zone)].append(tally)
        parts.count(series, found)
    return list(parts.documents())


def _days_and_weeks(leaves: Leaves, zone: str) -> list[Document]:
    found = days(leaves, zone)
    return found + weeks(found)


def weeks(of_days: Iterable[Document]) -> list[Document]:
    """What the devices of these days come to in weeks, in documents of their own."""
    found: dict[tuple[ObjectId, str, datetime, str], Document] = {}
    for day in of_days:
        if day["part"] not in OF_DAYS:
            continue
        at, part = week_of(day["at"], day["zone"]), f"w{day['part']}"
        key = day["organization_id"], day["zone"], at, part
        week = found.get(key)
        if week is None:
            owner = {"organization_id": day["organization_id"], "zone": day["zone"]}
            week = found[key] = {**owner, "at": at, "part": part, "d": {}}
        devices = week["d"]
        for device, counted in day["d"].items():
            summed = devices.setdefault(device, {})
            for name, number in counted.items():
                summed[name] = summed.get(name, 0) + number
    return [*found.values()]


class _Parts:
    """Hours or days of organizations: of each, one document of all it logged, and some of its devices."""

    def __init__(self, of: Document) -> None:
        self._of = of
        self._found: defaultdict[ObjectId, dict[tuple[datetime, str], Document]] = defaultdict(dict)

    def count(self, series: Series, tallies: Mapping[datetime, Iterable[Tally]]) -> list[Document]:
        """Count a series in the hours or days that begin then; returns of each the document of all."""
        organization_id, device_id, event = series
        name, device, part, is_usage = spelled(event), str(device_id), shard_of(device_id), event == USAGE
        wholes = []
        for at, some in tallies.items():
            whole, shard = self._part(organization_id, at, "all"), self._part(organization_id, at, part)
            of_event = whole.setdefault("e", {}).setdefault(name, {})
            of_device = shard.setdefault("d", {}).setdefault(device, {})
            for tally in some:
                whole["c"] = whole.get("c", 0) + tally.count
                _count(of_event, tally)
                _count(of_device, tally, values=is_usage)
            wholes.append(whole)
        return wholes

    def _part(self, organization_id: ObjectId, at: datetime, part: str) -> Document:
        parts = self._found[organization_id]
        found = parts.get(key := (at, part))
        if found is None:
            parts[key] = found = {"organization_id": organization_id, **self._of, "at": at, "part": part}
        return found

    def documents(self) -> Iterator[Document]:
        for parts in self._found.values():
            yield from parts.values()


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


@lru_cache(4096)
def week_of(day: datetime, zone: str) -> datetime:
    """When the week of `zone` begins in which this day does."""
    return calendar.floor(day, "week", ZoneInfo(zone))


@lru_cache(65_536)
def moment_of(quarter: int) -> datetime:
    """When a quarter of an hour begins."""
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC)


@lru_cache(4096)
def spelled(event: str) -> str:
    """An event as the name of a field: in paths, MongoDB reads a dot as a step and `$` as an operator."""
    return event.replace("%", "%25").replace(".", "%2E").replace("$", "%24")


def read(name: str) -> str:
    """The event that `spelled` made this name of."""
    return name.replace("%24", "$").replace("%2E", ".").replace("%25", "%")
