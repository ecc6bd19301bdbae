"""Usage and analytics: answered from what was counted while logs were written."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import orjson

from devicehub.analytics import figures, ranges, reading, trends
from devicehub.analytics.ranges import Range
from devicehub.core import cache, clock, config
from devicehub.core.actor import Actor
from devicehub.core.cache import Cached
from devicehub.core.calendar import Ago
from devicehub.core.documents import seen_by
from devicehub.core.errors import InvalidDateRange
from devicehub.devices import pulse
from devicehub.devices import service as devices
from devicehub.devices.errors import DeviceNotFound
from devicehub.devices.models import PRESENCES
from devicehub.logs.models import USAGE, Log
from devicehub.logs.rollups import Tally
from devicehub.organizations import service as organizations

NOUN = "analytics"
MOST_RECENT = 10
USUAL = Ago(7, "day")
_NAMES_A_RANGE = {"range", "from", "to"}

Row = dict[str, Any]


def usage(actor: Actor, device_id: str, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """What a device used in a range, and when, as JSON bytes; raises DeviceNotFound or InvalidDateRange."""
    device = devices.row_of(actor, device_id)
    (range_, oldest), event = range_of(actor, query), query.get("event", USAGE)
    key = f"usage:{device_id}:{range_.key}:{query['percentiles']}:{event}"
    wants_percentiles: bool = query["percentiles"]

    def compute() -> Row:
        return {"range": described(range_, oldest), **_usage(actor, device, range_, event, wants_percentiles)}

    return cached(actor, key, compute, fresh=fresh)


def _usage(actor: Actor, device: Row, range_: Range, event: str, wants_percentiles: bool) -> Row:
    parts = reading.of_devices(actor, [device["_id"]], range_, event=event).get((str(device["_id"]), event), [])
    whole, trend = Tally(), [Tally() for _ in range_.buckets]
    for at, tally in parts:
        whole.merge(tally)
        trend[range_.place(at.timestamp())].merge(tally)
    summary = {
        "totalUnits": figures.rounded(whole.sum),
        "averagePerLog": figures.average(whole),
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
        "trend": figures.trend(range_, trend),
    }


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Of values in order of size: the least that `rank` per cent of them do not exceed (nearest rank)."""
    return values[max(0, ceil(len(values) * rank / 100) - 1)] if values else None


def dashboard(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """What an organization's fleet is, and logged and used in a range, as JSON bytes; raises InvalidDateRange."""
    range_, oldest = range_of(actor, query)
    return cached(actor, f"dashboard:{range_.key}", lambda: _dashboard(actor, range_, oldest), fresh=fresh)


def _dashboard(actor: Actor, range_: Range, oldest: datetime) -> Row:
    zones, fleet = reading.zones_of(actor.organization_id, range_.timezone), figures.fleet(actor)
    found = reading.of_organization(actor, range_, zones=zones)
    kept = Range(oldest, max(range_.end, clock.now()), "day", "UTC")
    total = reading.count(actor, kept)
    used = found.events.get(USAGE, Tally())
    return {
        "summary": {
            "totalDevices": fleet.total(),
            "activeDevices": figures.count_status(fleet, "active"),
            "onlineDevices": figures.count_presence(fleet, "online"),
            "totalLogs": total,
            "recentLogs": found.count,
            "totalUsage": figures.rounded(used.sum),
            "range": described(range_, oldest),
        },
        "deviceBreakdown": figures.breakdown(actor, found.devices, used.sum),
        "usageTrend": figures.trend(range_, found.trend),
        "eventDistribution": figures.events(found.events, found.count),
        "deviceTypes": figures.types(fleet),
        "generatedAt": clock.rfc3339(clock.now()),
    }


def comparison(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """Devices side by side, as JSON bytes; raises DeviceNotFound or InvalidDateRange."""
    (range_, oldest), event = range_of(actor, query), query.get("event", USAGE)
    wanted = list(dict.fromkeys(query["devices"]))
    known = figures.names(actor, wanted)
    if unknown := [one for one in wanted if one not in known]:
        raise DeviceNotFound(device_id=unknown[0])
    key = f"comparison:{','.join(wanted)}:{range_.key}:{event}"

    def compute() -> Row:
        return {"range": described(range_, oldest), **_comparison(actor, known, range_, event)}

    return cached(actor, key, compute, fresh=fresh)


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
            "totalUsage": figures.rounded(used[device_id].sum),
            "averageUsage": figures.average(used[device_id]),
            "minimum": used[device_id].least,
            "maximum": used[device_id].greatest,
            "logCount": counts[device_id],
            "uniqueEvents": len(events[device_id]),
            "share": figures.share(used[device_id].sum, total),
            "rank": rank,
        }
        for rank, device_id in enumerate(first, 1)
    ]
    return {"event": event, "totalUsage": figures.rounded(total), "devices": rows}


def trends_of(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """A range beside the one before it, and what may come, as JSON bytes; raises InvalidDateRange."""
    range_, oldest = range_of(actor, query)
    return cached(actor, f"trends:{range_.key}", lambda: _trends(actor, range_, oldest), fresh=fresh)


def _trends(actor: Actor, range_: Range, oldest: datetime) -> Row:
    zones = reading.zones_of(actor.organization_id, range_.timezone)
    current, earlier = reading.of_organization(actor, range_, zones=zones), trends.before(range_, clock.now())
    is_kept = earlier.start >= oldest
    previous = reading.of_organization(actor, earlier, zones=zones) if is_kept else None
    moved = trends.movers(current, previous)
    names = figures.names(actor, [one for one, _, _ in moved[: figures.MOST_DEVICES]])
    there = [each for each in moved[: figures.MOST_DEVICES] if each[0] in names]
    return {
        "range": described(range_, oldest),
        "previous": described(earlier, oldest) if is_kept else None,
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
    return cached(
        actor, "realtime", lambda: _realtime(actor), fresh=fresh, ttl=config.current().cache_realtime_ttl
    )


def _realtime(actor: Actor) -> Row:
    now, counts = clock.now(), Counter[str]()
    for (_, _, presence), count in figures.fleet(actor).items():
        counts[presence] += count
    owner = seen_by(actor, Log)
    logs = Log._get_collection()
    latest = logs.find(owner, {"device_id": 1, "event": 1, "level": 1, "value": 1, "at": 1}).sort("at", -1)
    recent = list(latest.limit(MOST_RECENT))
    names = figures.names(actor, [str(row["device_id"]) for row in recent])
    hour = now.replace(minute=0, second=0, microsecond=0)
    this_hour = Range(hour, hour + timedelta(hours=1), "hour", "UTC")
    return {
        **{f"{presence}Devices": counts[presence] for presence in PRESENCES if presence != "never_seen"},
        "heartbeatsPerMinute": pulse.beats_a_minute(actor.organization_id),
        "logsPerMinute": logs.count_documents({**owner, "at": {"$gt": now - timedelta(minutes=1), "$lte": now}}),
        "currentHourLogs": reading.count(actor, this_hour),
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


def cached(actor: Actor, key: str, compute: Callable[[], Row], *, fresh: bool, ttl: int | None = None) -> Cached:
    """Computed once for all who ask at the same time, and kept for as long as it may be old."""
    return cache.current().fetch(
        actor.organization_id,
        NOUN,
        key,
        ttl=ttl or config.current().cache_analytics_ttl,
        compute=lambda: orjson.dumps(compute()),
        bypass=fresh,
    )


def range_of(actor: Actor, query: Mapping[str, Any]) -> tuple[Range, datetime]:
    """The range that is asked for, as far as it is kept, and from when on it is; raises InvalidDateRange."""
    organization = organizations.settings_of(actor.organization_id)
    if not _NAMES_A_RANGE & query.keys():
        query = {"range": USUAL, **query}
    range_ = ranges.resolve(query, timezone=organization.timezone, now=clock.now())
    oldest = organizations.oldest_kept(organization)
    if range_.end <= oldest:
        raise InvalidDateRange(errors={"to": [f"Nothing is kept from before {clock.rfc3339(oldest)}."]})
    return Range(max(range_.start, oldest), range_.end, range_.interval, range_.timezone), oldest


def described(range_: Range, oldest: datetime) -> Row:
    """A range as answers tell it, and from when on there is anything to be told."""
    return {**range_.describe(), "oldestKept": clock.rfc3339(oldest)}
