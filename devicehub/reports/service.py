"""Reports: made of the same figures as analytics, for whoever writes them down or shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from devicehub.analytics import figures
from devicehub.analytics import service as analytics
from devicehub.core import crypto
from devicehub.core.actor import Actor
from devicehub.core.cache import Cached
from devicehub.devices import access
from devicehub.devices.errors import DeviceNotFound
from devicehub.reports import fleet, usage
from devicehub.reports.rendering import json
from devicehub.reports.report import Report

MOST_ROWS_SHOWN = 1000


def usage_report(
    actor: Actor, *, start: datetime, end: datetime, device_ids: Sequence[str], event_types: Sequence[str]
) -> Report:
    """What was logged and used from `start` until just before `end`; raises InvalidDateRange.

    With `device_ids` by these devices, of which those that are no more are left out; with `event_types` in these
    events, whose values are then what is used. Levels are not counted by hour or day, so they are no filter.
    """
    query = {"from": start, "to": end}
    return usage.report(usage.find(actor, query, device_ids=device_ids, event_types=event_types))


def device_report(actor: Actor, *, device_ids: Sequence[str], include_inactive: bool) -> Report:
    """The devices there are now, and how available they were in the last 30 days."""
    return fleet.report(actor, device_ids=device_ids, include_inactive=include_inactive)


def shown_usage(actor: Actor, query: Mapping[str, Any], *, fresh: bool = False) -> Cached:
    """The usage report as JSON bytes, with the first rows of its tables; raises DeviceNotFound, InvalidDateRange.

    `devices` and `events` of the query are lists.
    """
    device_ids, event_types = demand(actor, query.get("devices", [])), query.get("events", [])
    range_, _ = analytics.range_of(actor, {**query, "interval": "day"})
    filters = crypto.digest(f"{sorted(device_ids)}{sorted(event_types)}".encode())

    def compute() -> dict[str, Any]:
        asked = {"from": range_.start, "to": range_.end, "timezone": range_.timezone}
        found = usage.find(actor, asked, device_ids=device_ids, event_types=event_types)
        return json.whole(usage.report(found).cut(MOST_ROWS_SHOWN))

    return analytics.cached(actor, f"report:{range_.key}:{filters}", compute, fresh=fresh)


def demand(actor: Actor, device_ids: Sequence[str]) -> list[str]:
    """The ids of these devices, each once; raises DeviceNotFound unless all are in the caller's organization."""
    wanted = list(dict.fromkeys(str(access.parsed(one)) for one in device_ids))
    known = figures.names(actor, wanted)
    if unknown := [one for one in wanted if one not in known]:
        raise DeviceNotFound(device_id=unknown[0])
    return wanted
