"""A fleet with a past, made up: the same for the same seed, as a fleet's days and weeks are.

Logs are written before what is counted of them, and not in one transaction: a day's would be too much for one. Of
whoever is interrupted within a day, `devicehub rollups rebuild` counts that day again.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from bson import ObjectId

from devicehub.core import clock, mongo
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError
from devicehub.devices import service as devices
from devicehub.logs import rollups
from devicehub.logs.models import USAGE, DeviceDay, Log

BATCH = 500
BATCH_OF_LOGS = 5000
DAY = timedelta(days=1)
KINDS = ("meter", "heater", "pump", "sensor")
SITES = ("Berlin", "Lisbon", "Nairobi", "Osaka", "Toronto")
# What is logged, how often among all, and at which level.
EVENTS = ((USAGE, 0.7, "info"), ("door_opened", 0.12, "info"), ("restarted", 0.06, "warning"),
          ("self_test", 0.1, "debug"), ("sensor_failed", 0.02, "error"))  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of a past: so many logs of so many devices, over the days up to now."""

    devices: int
    logs: int
    days: int
    seed: int


def fleet(actor: Actor, plan: Plan) -> list[ObjectId]:
    """Register the devices, with their kinds and places; returns their ids."""
    chance, made = _chance(plan.seed), list[ObjectId]()
    for start in range(0, plan.devices, BATCH):
        numbers = range(start, min(start + BATCH, plan.devices))
        many: list[Mapping[str, Any]] = [_device(chance, number) for number in numbers]
        for one in devices.create_many(actor, many, device_ids=[ObjectId() for _ in many]):
            if isinstance(one, DeviceHubError):
                raise one
            made.append(ObjectId(one["id"]))
    return made


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - it has to be the same each time


def _device(chance: random.Random, number: int) -> Row:
    kind, site = chance.choice(KINDS), chance.choice(SITES)
    name = f"{kind.capitalize()} {number + 1}, {site}"
    return {"name": name, "type": kind, "location": site, "status": "active", "tags": ["seeded"]}


def history(actor: Actor, fleet_ids: list[ObjectId], plan: Plan) -> Iterator[int]:
    """Write the past of a fleet that has none, day by day; gives how many logs each day had."""
    chance, now = _chance(plan.seed + 1), clock.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [today - timedelta(days=plan.days - 1 - day) for day in range(plan.days)]
    shares = [_share(start) * min(1.0, (now - start) / DAY) for start in starts]
    weights = list(accumulate(chance.paretovariate(2) for _ in fleet_ids))
    ends = [round(plan.logs * sum(shares[: day + 1]) / sum(shares)) for day in range(plan.days)]
    for day, end in enumerate(ends):
        number = end - (ends[day - 1] if day else 0)
        span = starts[day], min(starts[day] + DAY, now)
        rows = list(_rows(chance, actor, fleet_ids, weights, span, number))
        if rows:
            _write(rows)
        yield number


def _share(day: datetime) -> float:
    """How busy a day is: less at the end of the week, and a little more each week."""
    return (0.6 if day.weekday() >= 5 else 1.0) * (1 + 0.002 * day.toordinal() % 7)


def _rows(
    chance: random.Random,
    actor: Actor,
    fleet_ids: list[ObjectId],
    weights: list[float],
    span: tuple[datetime, datetime],
    number: int,
) -> Iterator[Row]:
    organization_id = ObjectId(actor.organization_id)
    events, likely = [event for event, _, _ in EVENTS], list(accumulate(share for _, share, _ in EVENTS))
    levels = {event: level for event, _, level in EVENTS}
    chosen = chance.choices(fleet_ids, cum_weights=weights, k=number)
    for device_id, event in zip(chosen, chance.choices(events, cum_weights=likely, k=number), strict=True):
        at = _moment(chance, *span)
        row: Row = {
            "_id": ObjectId(),
            "organization_id": organization_id,
            "device_id": device_id,
            "event": event,
            "level": levels[event],
            "at": at,
            "received_at": at,
        }
        if event == USAGE:
            row["value"] = round(chance.gammavariate(2, 0.4), 3)
        yield row


def _moment(chance: random.Random, start: datetime, end: datetime) -> datetime:
    """A moment of a day, to the millisecond: more of them at noon than at midnight."""
    while True:
        since = int(chance.random() * (end - start).total_seconds() * 1000)
        if chance.random() < 0.55 - 0.45 * math.cos(2 * math.pi * since / 86_400_000):
            return start + timedelta(milliseconds=since)


def _write(rows: list[Row]) -> None:
    leaves = rollups.fold(rows)
    zones = rollups.zones_of(None, {row["organization_id"] for row in rows})
    for start in range(0, len(rows), BATCH_OF_LOGS):
        Log._get_collection().insert_many(rows[start : start + BATCH_OF_LOGS], ordered=False)
    new = list(rollups.new_device_days(leaves))  # nobody else has a part in this day of a new device
    DeviceDay._get_collection().insert_many(new, ordered=False)
    for document, updates in rollups.updates_of_organizations(leaves, zones).items():
        mongo.database()[document._get_collection_name()].bulk_write(updates, ordered=False)
