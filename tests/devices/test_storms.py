"""Many devices at once, and processes that are killed among them: nothing acknowledged is lost, all is told once."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from devicehub.core import redis
from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.devices import heartbeats
from devicehub.devices.models import Device, PresenceChange
from tests.conftest import LiveServer, Servers, holding, wait_until
from tests.core.victims import at_hand
from tests.devices.victims import FLEET, sweep_and_die
from tests.factories import make_account, make_device

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.xdist_group("outage")]
Die = Callable[..., int]


@pytest.fixture(scope="module")
def die(settings: Settings) -> Iterator[Die]:
    """Let a process be killed while it sweeps; see tests/core/victims.py."""
    with at_hand(settings.model_dump()) as killed:
        yield killed


@pytest.fixture
def fleet(app: Any) -> tuple[Actor, list[str]]:
    actor = make_account().actor
    ids = [make_device(actor, heartbeat_interval=5)["id"] for _ in range(FLEET)]
    heartbeats.beat_all(actor, [(device_id, {}) for device_id in ids])
    return actor, ids


def late() -> int:
    return int(Device.objects(presence="late").count())


def told(actor: Actor) -> Counter[str]:
    """How often the organization's log tells of each device that it is late."""
    rows = redis.current().client.xrange(f"events:{actor.organization_id}")
    payloads = [orjson.loads(fields[b"payload"]) for _, fields in rows if b"payload" in fields]
    return Counter(one["deviceId"] for one in payloads if one.get("changes") == {"presence": "late"})


@pytest.fixture
def victim(die: Die, live_server: LiveServer) -> Iterator[Callable[[str], None]]:
    """Have everyone fall silent and the sweeper's process killed at one of its steps, while others stand by."""
    holder = "the victim"

    def sweep(where: str) -> None:
        assert die(sweep_and_die, holder, where) == -signal.SIGKILL

    with holding("presence", holder):
        yield sweep


@pytest.mark.parametrize("where", ["write", "record", "settle"])
def test_when_the_sweeper_is_killed_another_takes_over_and_all_is_told_once(
    victim: Callable[[str], None], fleet: tuple[Actor, list[str]], where: str
) -> None:
    actor, ids = fleet
    victim(where)
    assert 0 < late() < FLEET
    wait_until(lambda: late() == FLEET, 10, "all to be found")
    wait_until(lambda: Device.objects(__raw__={"untold.at": {"$exists": True}}).count() == 0, 10, "all to be told")
    assert told(actor) == dict.fromkeys(ids, 1)
    assert PresenceChange.objects(presence_after="late").count() == FLEET


def test_when_redis_is_emptied_half_way_all_are_found_and_told_twice_at_most(
    victim: Callable[[str], None], fleet: tuple[Actor, list[str]]
) -> None:
    actor, ids = fleet
    victim("settle")
    before = told(actor)
    redis.current().client.flushall()
    wait_until(lambda: late() == FLEET, 10, "all to be found")
    wait_until(lambda: Device.objects(__raw__={"untold.at": {"$exists": True}}).count() == 0, 10, "all to be told")
    after = told(actor)
    assert set(before) | set(after) == set(ids)
    assert set((before + after).values()) == {1, 2}
    assert PresenceChange.objects(presence_after="late").count() == FLEET


def test_no_acknowledged_beat_is_missing_when_mongodb_is_killed_under_load(
    live_server: LiveServer, servers: Servers
) -> None:
    ada = make_account()
    ids = [make_device(ada.actor)["id"] for _ in range(24)]
    acknowledged, refused = dict.fromkeys(ids, -1), Counter[int]()
    limits = httpx.Limits(max_connections=None)

    def beat_until_refused(device_id: str) -> None:
        for number in range(10_000):
            path = f"/api/devices/{device_id}/heartbeat"
            answer = http.post(path, json={"metrics": {"number": number}}, headers=ada.headers)
            if answer.status_code != 200:
                refused[answer.status_code] += 1
                return
            acknowledged[device_id] = number
            if number == 10 and device_id == ids[0]:
                servers.mongod.kill()

    with httpx.Client(base_url=live_server.url, timeout=10, limits=limits) as http:
        wait_until(lambda: http.get("/health/ready").status_code == 200)
        try:
            with ThreadPoolExecutor(len(ids)) as callers:
                list(callers.map(beat_until_refused, ids))
        finally:
            servers.restart_mongod()
        wait_until(lambda: http.get("/health/ready").status_code == 200)
        answer = http.post(f"/api/devices/{ids[0]}/heartbeat", json={}, headers=ada.headers)
        assert answer.status_code == 200
    assert refused == {503: len(ids)}
    kept = {str(row.id): row.metrics["number"] for row in Device.objects}
    assert {device_id for device_id in ids if kept[device_id] < acknowledged[device_id]} == set()
    assert min(acknowledged.values()) >= 0
