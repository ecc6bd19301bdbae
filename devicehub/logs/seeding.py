"""A fleet with a past, made up: the same for the same seed, as a fleet's days and weeks are.

A day is written in several steps and not in one transaction: it would be too much for one. First comes what makes
`devicehub rollups rebuild` look at it, so that this mends what was being written when somebody interrupted.
"""

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from devicehub.core import clock, mongo
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError
from devicehub.devices import service as devices
from devicehub.logs import rollups, updates
from devicehub.logs.models import USAGE, Day, DeviceDay, Hour, Log
from devicehub.logs.rollups import Documents

BATCH = 500
BATCH_OF_LOGS = 10_000
AT_ONCE = 2  # days that are being written while the next is made up
DUPLICATE_KEY = 11000
DAY, MINUTE, MILLISECOND = timedelta(days=1), timedelta(minutes=1), timedelta(milliseconds=1)
KINDS = ("meter", "heater", "pump", "sensor")
SITES = ("Berlin", "Lisbon", "Nairobi", "Osaka", "Toronto")
# What is logged, how often among all, and at which level.
EVENTS = ((USAGE, 0.7, "info"), ("door_opened", 0.12, "info"), ("restarted", 0.06, "warning"),
          ("self_test", 0.1, "debug"), ("sensor_failed", 0.02, "error"))  # fmt: skip
_LIKELY = list(accumulate(share for _, share, _ in EVENTS))

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
    organization_id = ObjectId(actor.organization_id)
    zones = rollups.zones_of(None, [organization_id])
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begun = deque[Future[int]]()
        for rows in _days(organization_id, fleet_ids, plan):
            begun.append(threads.submit(_write, rows, rollups.documents(rollups.fold(rows), zones)))
            if len(begun) > AT_ONCE:
                yield begun.popleft().result()
        yield from (each.result() for each in begun)


def _days(organization_id: ObjectId, fleet_ids: list[ObjectId], plan: Plan) -> Iterator[list[Row]]:
    """The logs of each day on which there are any."""
    chance, now = _chance(plan.seed + 1), clock.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [today - timedelta(days=plan.days - 1 - day) for day in range(plan.days)]
    shares = [_share(start) * min(1.0, (now - start) / DAY) for start in starts]
    weights = list(accumulate(chance.paretovariate(2) for _ in fleet_ids))
    ends = [round(plan.logs * sum(shares[: day + 1]) / sum(shares)) for day in range(plan.days)]
    for start, first, end in zip(starts, [0, *ends], ends, strict=False):
        if first < end:
            # Device by device: MongoDB finds the places of theirs in its indexes close to each other.
            chosen = sorted(chance.choices(range(len(fleet_ids)), cum_weights=weights, k=end - first))
            device_ids = [fleet_ids[each] for each in chosen]
            yield list(_rows(chance, organization_id, device_ids, (start, min(start + DAY, now))))


def _share(day: datetime) -> float:
    """How busy a day is: less at the end of the week, and a little more each week."""
    return (0.6 if day.weekday() >= 5 else 1.0) * (1 + 0.002 * day.toordinal() % 7)


def _rows(
    chance: random.Random, organization_id: ObjectId, device_ids: list[ObjectId], span: tuple[datetime, datetime]
) -> Iterator[Row]:
    """A log of each of these devices between two moments of a day."""
    draw, log = chance.random, math.log
    events = chance.choices(EVENTS, cum_weights=_LIKELY, k=len(device_ids))
    moments = _moments(chance, *span, len(device_ids))
    for device_id, (event, _, level), at in zip(device_ids, events, moments, strict=True):
        row: Row = {
            "_id": ObjectId(),
            "organization_id": organization_id,
            "device_id": device_id,
            "event": event,
            "level": level,
            "at": at,
            "received_at": at,
        }
        if event == USAGE:  # the sum of two waits, each 0.4 on average: much is used seldom
            row["value"] = round(-0.4 * log((1 - draw()) * (1 - draw())), 3)
        yield row


def _moments(chance: random.Random, start: datetime, end: datetime, number: int) -> Iterator[datetime]:
    """Moments of a day, to the millisecond: more of them at noon than at midnight."""
    last = max((end - start) // MILLISECOND - 1, 0)
    busy = [0.55 - 0.45 * math.cos(math.tau * minute / 1440) for minute in range(last // 60_000 + 1)]
    draw, starts = chance.random, [start + minute * MINUTE for minute in range(len(busy))]
    for begun in chance.choices(starts, cum_weights=list(accumulate(busy)), k=number):
        yield min(begun + int(draw() * 60_000) * MILLISECOND, start + last * MILLISECOND)


def _write(rows: list[Row], counted: Documents) -> int:
    """Write a day. The last write of it is acknowledged when a majority has that and all before it."""
    _add(mongo.at_ease(Day), Day, counted[Day])
    for start in range(0, len(rows), BATCH_OF_LOGS):
        mongo.at_ease(Log).insert_many(rows[start : start + BATCH_OF_LOGS], ordered=False)
    # Nobody else counts days of new devices.
    mongo.at_ease(DeviceDay).insert_many(counted[DeviceDay], ordered=False)
    _add(Hour._get_collection(), Hour, counted[Hour])
    return len(rows)


def _add(collection: "Collection[Row]", document: type[Any], counted: list[Row]) -> None:
    """Insert documents; to those that are there already (a zone's days begin on another day of UTC) add them."""
    try:
        collection.insert_many(counted, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        there = [updates.of_one(document, counted[failure["index"]]) for failure in failures]
        collection.bulk_write(there, ordered=False)
