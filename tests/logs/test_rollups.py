"""What is counted while logs are written is what is counted of the logs themselves, whatever happened meanwhile."""

import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import PyMongoError

from devicehub.core import calendar, clock, mongo
from devicehub.logs import rollups
from devicehub.logs import service as logs
from devicehub.logs.models import USAGE
from tests.conftest import Servers, wait_until
from tests.factories import Account, make_account, make_device

EVENTS = ["on", "off", USAGE, "a.b", "$set", "100%", "%2E"]


@given(st.text(min_size=1))
@settings(max_examples=300, deadline=None)
def test_any_event_can_be_the_name_of_a_field(event: str) -> None:
    name = rollups.spelled(event)
    assert "." not in name and "$" not in name
    assert rollups.read(name) == event


def stored(collection: str, key: tuple[str, ...]) -> dict[tuple[Any, ...], dict[str, Any]]:
    left_out = {"_id", "organization_id", "rebuilds", *key}
    rows = {
        tuple(row[name] for name in key): counting({name: row[name] for name in row if name not in left_out})
        for row in mongo.database()[collection].find()
    }
    return {key: row for key, row in rows.items() if row}


def counting(row: dict[str, Any]) -> dict[str, Any]:
    """What of a document counts anything."""
    if row.get("c") == 0:
        return {}
    if row.get("n") == 0:
        row = {name: part for name, part in row.items() if name not in ("n", "s")}
    inner = {name: counting(part) if isinstance(part, dict) else part for name, part in row.items()}
    return {name: part for name, part in inner.items() if part != {}}


def tallied(rows: list[dict[str, Any]], *, spans: bool = True) -> dict[str, Any]:
    """How these logs are counted, worked out the long way."""
    values = [row["value"] for row in rows if "value" in row]
    found: dict[str, Any] = {"c": len(rows)}
    if values:
        found |= {"n": len(values), "s": pytest.approx(sum(values))}
        if spans:
            found |= {"lo": min(values), "hi": max(values)}
    return found


def grouped(rows: Any, by: Any) -> dict[Any, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows:
        found[by(row)].append(row)
    return found


def of_usage(rows: list[dict[str, Any]]) -> dict[str, Any]:
    usage = tallied([row for row in rows if row["event"] == USAGE], spans=False)
    return {"c": len(rows)} | {name: usage[name] for name in ("n", "s") if name in usage}


def whole(rows: list[dict[str, Any]]) -> dict[str, Any]:
    events = grouped(rows, lambda row: rollups.spelled(row["event"]))
    return {"c": len(rows), "e": {name: tallied(some, spans=False) for name, some in events.items()}}


def shards(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        part: {
            "d": {
                str(device): of_usage(more) for device, more in grouped(some, lambda row: row["device_id"]).items()
            }
        }
        for part, some in grouped(rows, lambda row: rollups.shard_of(row["device_id"])).items()
    }


def everything_is_counted_once() -> int:
    """Compare every roll-up with the logs that are there; how many these are."""
    rows = list(mongo.database()["logs"].find())
    hours = {}
    for at, some in grouped(rows, lambda row: row["at"].replace(minute=0, second=0, microsecond=0)).items():
        quarters = grouped(some, lambda row: str(row["at"].minute // 15))
        hours[at, "all"] = whole(some) | {"q": {name: of_usage(more) for name, more in quarters.items()}}
        hours |= {(at, part): told for part, told in shards(some).items()}
    assert stored("usage_hours", ("at", "part")) == hours
    days = {}
    zones = ["UTC", *(row["zone"] for row in mongo.database()["usage_zones"].find())]
    for zone in zones:
        by_day = grouped(rows, lambda row, zone=zone: calendar.floor(row["at"], "day", ZoneInfo(zone)))
        for at, some in by_day.items():
            days[zone, at, "all"] = whole(some)
            days |= {(zone, at, part): told for part, told in shards(some).items()}
        by_week = grouped(rows, lambda row, zone=zone: calendar.floor(row["at"], "week", ZoneInfo(zone)))
        for at, some in by_week.items():
            days |= {(zone, at, f"w{part}"): told for part, told in shards(some).items()}
    assert stored("usage_days", ("zone", "at", "part")) == days
    devices = {}
    by_device = grouped(
        rows,
        lambda row: (row["device_id"], row["event"], row["at"].replace(hour=0, minute=0, second=0, microsecond=0)),
    )
    for key, some in by_device.items():
        quarters = grouped(some, lambda row: str(row["at"].hour * 4 + row["at"].minute // 15))
        devices[key] = {"t": tallied(some), "q": {name: tallied(more) for name, more in quarters.items()}}
    assert stored("usage_devices", ("device_id", "event", "at")) == devices
    return len(rows)


def some_logs(draw: Any, number: int, *, days: int = 28) -> Iterator[dict[str, Any]]:
    now = clock.now()
    for _ in range(number):
        fields = {
            "event": draw.choice(EVENTS),
            "level": "info",
            "at": now - timedelta(minutes=draw.randrange(days * 1440)),
        }
        if draw.random() < 0.7:
            fields["value"] = round(draw.uniform(-50, 100), 2)
        yield fields


@pytest.fixture
def kathmandu(account: Account) -> str:
    """The organization counts its days in a zone whose hours begin at a quarter to."""
    zone = "Asia/Kathmandu"
    mongo.database()["usage_zones"].insert_one({"_id": ObjectId(account.actor.organization_id), "zone": zone})
    return zone


@pytest.mark.actor()
def test_logs_of_any_time_are_counted_where_they_belong(account: Account, kathmandu: str) -> None:
    draw = random.Random(7)
    devices = [make_device(account.actor)["id"] for _ in range(3)]
    for _ in range(10):
        logs.add(account.actor, draw.choice(devices), list(some_logs(draw, 40)))
    assert everything_is_counted_once() == 400


@pytest.mark.actor()
def test_nothing_is_counted_twice_or_not_when_many_write_at_once(account: Account, kathmandu: str) -> None:
    devices = [make_device(account.actor)["id"] for _ in range(4)]

    def write(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(8):
            logs.add(account.actor, draw.choice(devices), list(some_logs(draw, 20)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    assert everything_is_counted_once() == 8 * 8 * 20


@pytest.mark.actor()
def test_the_same_sequence_from_many_at_once_is_written_and_counted_once(account: Account) -> None:
    device = make_device(account.actor)["id"]
    begin = threading.Barrier(6)

    def write(_: int) -> int:
        begin.wait()
        now = clock.now()
        many = [{"event": "on", "level": "info", "at": now, "sequence": number} for number in range(50)]
        return sum(row is not None for row in logs.add(account.actor, device, many))

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(write, range(6))) == 50
    assert everything_is_counted_once() == 50


@pytest.mark.actor()
@pytest.mark.xdist_group("outage")
def test_when_mongodb_is_killed_what_was_acknowledged_is_there_and_counted(
    account: Account, servers: Servers
) -> None:
    device = make_device(account.actor)["id"]
    acknowledged: list[ObjectId] = []

    def write(_: int) -> None:
        for _ in range(200):
            try:
                many = [{"event": USAGE, "level": "info", "at": clock.now(), "value": 1.0}] * 20
                acknowledged.extend(row["_id"] for row in logs.add(account.actor, device, many) if row)
            except PyMongoError:
                return

    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, number) for number in range(4)]
        wait_until(
            lambda: len(acknowledged) >= 400 or all(each.done() for each in writing), 60, "some to be written"
        )
        assert not all(each.done() for each in writing)
        servers.mongod.kill()
        for each in writing:
            each.result()
    servers.restart_mongod()
    there = {row["_id"] for row in mongo.database()["logs"].find({}, {"_id": 1})}
    assert set(acknowledged) <= there
    assert everything_is_counted_once() >= len(acknowledged)


def test_each_organization_is_counted_by_itself(app: object) -> None:
    first, second = make_account(), make_account()
    for account in (first, second):
        device = make_device(account.actor)["id"]
        logs.add(account.actor, device, [{"event": "on", "level": "info", "at": datetime.now(UTC)}])
    rows = list(mongo.database()["usage_days"].find({"part": "all"}))
    assert sorted(str(row["organization_id"]) for row in rows) == sorted(
        account.actor.organization_id for account in (first, second)
    )
    assert [row["c"] for row in rows] == [1, 1]
