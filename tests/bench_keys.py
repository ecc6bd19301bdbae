"""What a heartbeat costs with a device's own key, beside a user's token: a part of `make bench`.

The token is one, so what it is worth is always remembered. Of a device that beats every 30 s or less often it never
is: its key is asked of MongoDB each time. That is the row that counts; the last one is the same without `web/beats.py`.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from redis import Redis
from rich.table import Table

from devicehub.core.config import Settings
from tests.bench_fanout import cpu_seconds
from tests.conftest import LiveServer, start_server

QUIET = {"SLOW_REQUEST_MS": "600000"}
FLEET, CONNECTIONS, TURNS, AT_ONCE = 2000, 16, 5, 500
METRICS = {"metrics": {"temperature": 21.5, "battery": 87}}

# It says nothing to this route, and sends a request to Flask.
THE_LONG_WAY = {"Idempotency-Key": "the long way"}

# Asks a path with a body and a credential on a connection of its own, and returns the status and what was answered.
Ask = Callable[[str, Any, str], tuple[int, bytes]]
Credential = tuple[str, str]  # a device, and what is sent for it


def keys_and_tokens(
    settings: Settings,
    *,
    sign_up: Callable[[LiveServer], str],
    connect: Callable[[LiveServer, dict[str, str]], Ask],
) -> Table:
    """Every device of a fleet beats once on one of several connections; in each way in turn, several times."""
    server = start_server(settings, QUIET)
    try:
        token, asks = sign_up(server), [connect(server, {}) for _ in range(CONNECTIONS)]
        through_flask = [connect(server, THE_LONG_WAY) for _ in range(CONNECTIONS)]
        fleet = _register(asks[0], token)
        by_token = [(device_id, token) for device_id, _ in fleet]
        rates, costs = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        for turn in range(TURNS + 1):
            for name, callers, credentials in (
                ("a user's token", asks, by_token),
                ("device keys", asks, fleet),
                ("device keys, remembered", asks, fleet),
                ("device keys, through Flask", through_flask, fleet),
            ):
                if not name.endswith("remembered"):
                    _forget(settings, fleet)
                cpu, started = cpu_seconds(server.process.pid), time.perf_counter()
                _beat(callers, credentials)
                if turn:  # the first is for warming up
                    rates[name].append(FLEET / (time.perf_counter() - started))
                    costs[name].append((cpu_seconds(server.process.pid) - cpu) / FLEET * 1e6)
        return _table(rates, costs)
    finally:
        server.stop()


def _register(ask: Ask, token: str) -> list[Credential]:
    fleet: list[Credential] = []
    for start in range(0, FLEET, AT_ONCE):
        devices = [{"name": f"Sensor {n}", "type": "sensor"} for n in range(start, start + AT_ONCE)]
        _, answer = ask("/api/devices/batch", {"devices": devices, "issueKeys": True}, token)
        fleet += [(item["device"]["id"], item["key"]) for item in orjson.loads(answer)["items"]]
    return fleet


def _forget(settings: Settings, fleet: Iterable[Credential]) -> None:
    """Let Redis remember no key: as if the last beats were long ago."""
    with Redis.from_url(settings.redis_url) as redis:
        redis.delete(*(f"key:{key[:28]}" for _, key in fleet))


def _beat(asks: list[Ask], credentials: list[Credential]) -> None:
    def part(number: int) -> None:
        for device_id, credential in credentials[number::CONNECTIONS]:
            status, answer = asks[number](f"/api/devices/{device_id}/heartbeat", METRICS, credential)
            assert status == 200, answer

    with ThreadPoolExecutor(CONNECTIONS) as callers:
        list(callers.map(part, range(CONNECTIONS)))


def _table(rates: dict[str, list[float]], costs: dict[str, list[float]]) -> Table:
    title = f"{FLEET} devices beat once each over {CONNECTIONS} connections, medians of {TURNS}"
    table = Table("heartbeats with", "a second", "CPU of the server, µs each", "times a token's", title=title)
    first = statistics.median(next(iter(costs.values())))
    for name in rates:
        cost = statistics.median(costs[name])
        table.add_row(name, f"{statistics.median(rates[name]):.0f}", f"{cost:.0f}", f"{cost / first:.2f}")
    return table
