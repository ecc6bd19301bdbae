"""Usage and analytics: answered from what was counted while logs were written."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import orjson
from bson import ObjectId

from devicehub.analytics import ranges, reading, trends
from devicehub.analytics.ranges import Range
from devicehub.core import cache, clock, config
from devicehub.core.actor import Actor
from devicehub.core.cache import Cached
from devicehub.core.documents import seen_by
from devicehub.core.errors import InvalidDateRange
from devicehub.devices import pulse
from devicehub.devices import service as devices
from devicehub.devices.errors import DeviceNotFound
from devicehub.devices.models import PRESENCES, Device
from devicehub.logs.models import USAGE, Log
from devicehub.logs.rollups import Tally
from devicehub.organizations import service as organizations

NOUN = "analytics"
MOST_DEVICES, MOST_EVENTS, MOST_RECENT = 100, 100, 10
DIGITS = 6  # of sums, which differ in the last bits by the order in which they were added

Row = dict[str, Any]


def usage(actor: Actor, device_id: str, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """What a device used in a range, and when, as JSON bytes; raises DeviceNotFound or InvalidDateRange."""
    device = devices.row_of(actor, device_id)
    (range_, oldest), event = _range(actor, query), query.get("event", USAGE)
    key = f"usage:{device_id}:{range_.key}:{query['percentiles']}:{event}"
    wants_percentiles: bool = query["percentiles"]

    def compute() -> Row:
        return {"range": _described(range_, oldest), **_usage(actor, device, range_, event, wants_percentiles)}

    return _cached(actor, key, compute, fresh=fresh)


def _usage(actor: Actor, device: Row, range_: Range, event: str, wants_percentiles: bool) -> Row:
    parts = reading.of_devices(actor, [device["_id"]], range_, event=event).get((str(device["_id"]), event), [])
    whole, trend = Tally(), [Tally() for _ in range_.buckets]
    for at, tally in parts:
        whole.merge(tally)
        trend[bisect_right(range_.buckets, at) - 1].merge(tally)
    summary = {
        "totalUnits": _rounded(whole.sum),
        "averagePerLog": _average(whole),
        "minimum": whole.least,
        "maximum": whole.greatest,
        "logCount": whole.count,
    }
    if wants_percentiles:
        values = reading.values_of(actor, device["_id"], range_, event)
        summary |= {"p50": percentile(values, 50), "p95": percentile(values, 95)}
    return {
        "deviceId": str(device["_id"]),
        "deviceName": device["name"],
        "event": event,
        "summary": summary,
        "trend": _trend(range_, trend),
    }


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Of values in order of size: the least that `rank` per cent of them do not exceed (nearest rank)."""
    return values[max(0, ceil(len(values) * rank / 100) - 1)] if values else None


def dashboard(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """What an organization's fleet is, and logged and used in a range, as JSON bytes; raises InvalidDateRange."""
    range_, oldest = _range(actor, query)
    return _cached(actor, f"dashboard:{range_.key}", lambda: _dashboard(actor, range_, oldest), fresh=fresh)


def _dashboard(actor: Actor, range_: Range, oldest: datetime) -> Row:
    zones, fleet = reading.zones_of(actor.organization_id), _fleet(actor)
    found = reading.of_organization(actor, range_, zones=zones)
    kept = Range(oldest, max(range_.end, clock.now()), "day", "UTC")
    total = reading.of_organization(actor, kept, zones=zones, parts=False).count
    used = found.events.get(USAGE, Tally())
    return {
        "summary": {
            "totalDevices": fleet.total(),
            "activeDevices": sum(count for (_, status, _), count in fleet.items() if status == "active"),
            "onlineDevices": sum(count for (_, _, presence), count in fleet.items() if presence == "online"),
            "totalLogs": total,
            "recentLogs": found.count,
            "totalUsage": _rounded(used.sum),
            "range": _described(range_, oldest),
        },
        "deviceBreakdown": _breakdown(actor, found.devices, used.sum),
        "usageTrend": _trend(range_, found.trend),
        "eventDistribution": _events(found.events, found.count),
        "deviceTypes": _types(fleet),
        "generatedAt": clock.rfc3339(clock.now()),
    }


def _fleet(actor: Actor) -> Counter[tuple[str, str, str]]:
    """How many devices there are of each type, status and presence."""
    names = ("type", "status", "presence")
    grouped = Device.objects.visible_to(actor).aggregate(
        [{"$group": {"_id": {name: f"${name}" for name in names}, "count": {"$sum": 1}}}]
    )
    return Counter({tuple(row["_id"][name] for name in names): row["count"] for row in grouped})


def _breakdown(actor: Actor, tallies: Mapping[str, Tally], total: float) -> list[Row]:
    """The devices that used most; those that are no more have no name, and are left out."""
    first = sorted(tallies, key=lambda one: (-tallies[one].sum, -tallies[one].count, one))
    rows: list[Row] = []
    for start in range(0, len(first), MOST_DEVICES):
        some = first[start : start + MOST_DEVICES]
        known = _names(actor, some)
        rows += [_of_device(one, known[one], tallies[one], total) for one in some if one in known]
        if len(rows) >= MOST_DEVICES:
            break
    return rows[:MOST_DEVICES]


def _names(actor: Actor, device_ids: Sequence[str]) -> dict[str, Row]:
    wanted = [ObjectId(device_id) for device_id in device_ids]
    chosen = {"$and": [seen_by(actor, Device), {"_id": {"$in": wanted}}]}
    rows = Device._get_collection().find(chosen, {"name": 1, "type": 1})  # MongoEngine takes ten times as long
    return {str(row["_id"]): row for row in rows}


def _of_device(device_id: str, device: Row, tally: Tally, total: float) -> Row:
    return {
        "deviceId": device_id,
        "deviceName": device["name"],
        "deviceType": device["type"],
        "usage": _rounded(tally.sum),
        "average": _average(tally),
        "logCount": tally.count,
        "share": _share(tally.sum, total),
    }


def _events(tallies: Mapping[str, Tally], total: int) -> list[Row]:
    there = [event for event, tally in tallies.items() if tally.count]
    first = sorted(there, key=lambda one: (-tallies[one].count, one))[:MOST_EVENTS]
    return [
        {
            "event": event,
            "count": tallies[event].count,
            "share": _share(tallies[event].count, total),
            "total": _rounded(tallies[event].sum),
            "average": _average(tallies[event]),
        }
        for event in first
    ]


def _types(fleet: Mapping[tuple[str, str, str], int]) -> list[Row]:
    found: dict[str, Counter[str]] = {}
    for (kind, status, presence), count in fleet.items():
        counts = found.setdefault(kind, Counter())
        counts.update(
            {"count": count, "active": count * (status == "active"), "online": count * (presence == "online")}
        )
    first = sorted(found, key=lambda kind: (-found[kind]["count"], kind))
    return [
        {"type": kind, **{name: found[kind][name] for name in ("count", "active", "online")}} for kind in first
    ]


def comparison(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """Devices side by side, as JSON bytes; raises DeviceNotFound or InvalidDateRange."""
    (range_, oldest), event = _range(actor, query), query.get("event", USAGE)
    wanted = list(dict.fromkeys(query["devices"]))
    known = _names(actor, wanted)
    if unknown := [one for one in wanted if one not in known]:
        raise DeviceNotFound(device_id=unknown[0])
    key = f"comparison:{','.join(wanted)}:{range_.key}:{event}"

    def compute() -> Row:
        return {"range": _described(range_, oldest), **_comparison(actor, known, range_, event)}

    return _cached(actor, key, compute, fresh=fresh)


def _comparison(actor: Actor, known: Mapping[str, Row], range_: Range, event: str) -> Row:
    used: dict[str, Tally] = {device_id: Tally() for device_id in known}
    counts, events = Counter[str](), {device_id: set[str]() for device_id in known}
    found = reading.of_devices(actor, [row["_id"] for row in known.values()], range_)
    for (device_id, name), parts in found.items():
        counts[device_id] += sum(tally.count for _, tally in parts)
        events[device_id].add(name)
        if name == event:
            for _, tally in parts:
                used[device_id].merge(tally)
    total = sum(tally.sum for tally in used.values())
    first = sorted(known, key=lambda one: (-used[one].sum, known[one]["name"], one))
    rows = [
        {
            "deviceId": device_id,
            "deviceName": known[device_id]["name"],
            "totalUsage": _rounded(used[device_id].sum),
            "averageUsage": _average(used[device_id]),
            "minimum": used[device_id].least,
            "maximum": used[device_id].greatest,
            "logCount": counts[device_id],
            "uniqueEvents": len(events[device_id]),
            "share": _share(used[device_id].sum, total),
            "rank": rank,
        }
        for rank, device_id in enumerate(first, 1)
    ]
    return {"event": event, "totalUsage": _rounded(total), "devices": rows}


def trends_of(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """A range beside the one before it, and what may come, as JSON bytes; raises InvalidDateRange."""
    range_, oldest = _range(actor, query)
    return _cached(actor, f"trends:{range_.key}", lambda: _trends(actor, range_, oldest), fresh=fresh)


def _trends(actor: Actor, range_: Range, oldest: datetime) -> Row:
    zones = reading.zones_of(actor.organization_id)
    current, earlier = reading.of_organization(actor, range_, zones=zones), trends.before(range_, clock.now())
    is_kept = earlier.start >= oldest
    previous = reading.of_organization(actor, earlier, zones=zones) if is_kept else None
    moved = trends.movers(current, previous)
    names = _names(actor, [one for one, _, _ in moved[:MOST_DEVICES]])
    there = [each for each in moved[:MOST_DEVICES] if each[0] in names]
    return {
        "range": _described(range_, oldest),
        "previous": _described(earlier, oldest) if is_kept else None,
        "usage": trends.change(trends.usage_of(current), None if previous is None else trends.usage_of(previous)),
        "logs": trends.change(current.count, None if previous is None else previous.count),
        "topMovers": [
            {"deviceId": one, "deviceName": names[one]["name"], **trends.change(now, was)}
            for one, was, now in there[: trends.MOST_MOVERS]
        ],
        "forecast": trends.forecast(actor, range_, zones=zones, oldest=oldest),
    }


def realtime(actor: Actor, *, fresh: bool = False) -> Cached:
    """What goes on now, as JSON bytes."""
    return _cached(
        actor, "realtime", lambda: _realtime(actor), fresh=fresh, ttl=config.current().cache_realtime_ttl
    )


def _realtime(actor: Actor) -> Row:
    now, counts = clock.now(), Counter[str]()
    for (_, _, presence), count in _fleet(actor).items():
        counts[presence] += count
    owner = seen_by(actor, Log)
    logs = Log._get_collection()
    latest = logs.find(owner, {"device_id": 1, "event": 1, "level": 1, "value": 1, "at": 1}).sort("at", -1)
    recent = list(latest.limit(MOST_RECENT))
    names = _names(actor, [str(row["device_id"]) for row in recent])
    hour = now.replace(minute=0, second=0, microsecond=0)
    this_hour = Range(hour, hour + timedelta(hours=1), "hour", "UTC")
    return {
        **{f"{presence}Devices": counts[presence] for presence in PRESENCES if presence != "never_seen"},
        "heartbeatsPerMinute": pulse.beats_a_minute(actor.organization_id),
        "logsPerMinute": logs.count_documents({**owner, "at": {"$gt": now - timedelta(minutes=1), "$lte": now}}),
        "currentHourLogs": reading.of_organization(actor, this_hour, zones=(), parts=False).count,
        "recentActivity": [
            {
                "deviceId": str(row["device_id"]),
                "deviceName": names[str(row["device_id"])]["name"],
                "event": row["event"],
                "level": row["level"],
                "value": row.get("value"),
                "timestamp": clock.rfc3339(row["at"]),
            }
            for row in recent
            if str(row["device_id"]) in names
        ],
        "lastUpdated": clock.rfc3339(now),
    }


def _cached(actor: Actor, key: str, compute: Callable[[], Row], *, fresh: bool, ttl: int | None = None) -> Cached:
    """Computed once for all who ask at the same time, and kept for as long as it may be old."""
    return cache.current().fetch(
        actor.organization_id,
        NOUN,
        key,
        ttl=ttl or config.current().cache_analytics_ttl,
        compute=lambda: orjson.dumps(compute()),
        bypass=fresh,
    )


def _range(actor: Actor, query: Mapping[str, Any]) -> tuple[Range, datetime]:
    """The range that is asked for, as far as it is kept, and from when on it is; raises InvalidDateRange."""
    organization = organizations.settings_of(actor.organization_id)
    range_ = ranges.resolve(query, timezone=organization.timezone, now=clock.now())
    oldest = organizations.oldest_kept(organization)
    if range_.end <= oldest:
        raise InvalidDateRange(errors={"to": [f"Nothing is kept from before {clock.rfc3339(oldest)}."]})
    return Range(max(range_.start, oldest), range_.end, range_.interval, range_.timezone), oldest


def _described(range_: Range, oldest: datetime) -> Row:
    return {**range_.describe(), "oldestKept": clock.rfc3339(oldest)}


def _trend(range_: Range, tallies: Sequence[Tally]) -> list[Row]:
    """Every bucket of the range, also those in which nothing happened."""
    return [
        {
            "timestamp": clock.rfc3339(start),
            "usage": _rounded(tally.sum),
            "average": _average(tally),
            "logCount": tally.count,
        }
        for start, tally in zip(range_.buckets, tallies, strict=True)
    ]


def _average(tally: Tally) -> float | None:
    return _rounded(tally.sum / tally.values) if tally.values else None


def _share(part: float, whole: float) -> float:
    """Per cent."""
    return round(100 * part / whole, 2) if whole else 0.0


def _rounded(number: float) -> float:
    return round(number, DIGITS)
