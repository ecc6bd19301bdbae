"""`make bench-analytics`: questions about a million logs, from what was counted and from the logs themselves, in turn.

`LOGS`, `DEVICES` and `DAYS` say how much of a past (1 000 000, 1000, 80); `SECONDS` how long logs are taken in, and half
of it how long crowds ask. `ONLY` names one part: `answered`, `crowds`, `taken_in`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from bson import ObjectId
from pymongo import MongoClient
from pymongo.collection import Collection
from rich.console import Console
from rich.table import Table

from devicehub.app import create_app
from devicehub.core import clock, config, migrations, mongo
from devicehub.core.actor import Actor
from devicehub.embedded.processes import start_mongod, start_redis
from devicehub.logs import rebuilding, seeding
from devicehub.logs.models import USAGE
from tests.bench import ADA, Client
from tests.conftest import NO_LIMITS, ROOT, SECRETS, free_port, start_server

LOGS, DEVICES = int(os.environ.get("LOGS", "1000000")), int(os.environ.get("DEVICES", "1000"))
DAYS, SECONDS = int(os.environ.get("DAYS", "80")), float(os.environ.get("SECONDS", "60"))
ONLY = os.environ.get("ONLY", "")
ROUNDS, RAW_ROUNDS, CLIENTS, BATCH, LARGEST_INSERT = 60, 3, 50, 100, 10_000
ASKED = {
    "30 days": "range=30d",
    "24 hours": "range=24h",
    "30 days in a zone of its own": "range=30d&timezone=Asia/Kathmandu",
}

Row = dict[str, Any]


def main() -> None:
    """Start everything on empty folders, fill it, measure, print."""
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mongod, redis = (
            start_mongod(folder / "mongo", port=free_port()),
            start_redis(folder / "redis", port=free_port()),
        )
        settings = config.load(
            _env_file=None,
            app_env="development",
            mongodb_uri=mongod.url,
            redis_url=redis.url,
            devicehub_var=folder,
            log_level="ERROR",
            slow_request_ms=600_000,
            **SECRETS,
            **NO_LIMITS,
        )
        create_app(settings)
        mongo.connect_for_work(settings)
        migrations.migrate(settings)
        server = start_server(settings, {})
        try:
            port = int(server.url.rpartition(":")[2])
            account = _sign_up(port)
            console.print(seeded(account, settings.mongodb_uri))
            parts: dict[str, Callable[[], Any]] = {
                "answered": lambda: answered(port, account),
                "crowds": lambda: crowds(port, account),
                "taken_in": lambda: taken_in(port, account, settings.mongodb_uri),
            }
            for name, part in parts.items():
                if ONLY in ("", name):
                    console.print(part())
        finally:
            server.stop()
            redis.stop()
            mongod.stop()


def _sign_up(port: int) -> Row:
    client = Client(port)
    client.ask("POST", "/api/auth/signup", ADA)
    known = {name: ADA[name] for name in ("email", "password")}
    found: Row = orjson.loads(client.ask("POST", "/api/auth/login", known)[1])
    return found


def _client(port: int, token: str) -> Client:
    client = Client(port)
    client.headers["Authorization"] = f"Bearer {token}"
    return client


def seeded(account: Row, uri: str) -> Table:
    """How fast a past is made up, and how fast MongoDB takes the same logs when nothing is counted of them."""
    actor = Actor(account["user"]["id"], account["organization"]["id"], "owner", kind="system")
    plan = seeding.Plan(DEVICES, LOGS, DAYS, 1)
    fleet_ids = seeding.fleet(actor, plan)
    begun = time.perf_counter()
    assert sum(seeding.history(actor, fleet_ids, plan)) == LOGS
    ours = time.perf_counter() - begun
    number, spent = _inserted_bare(uri)
    organization_id = ObjectId(actor.organization_id)
    wrong = sum(rebuilding.check(organization_id, day).wrong for day in rebuilding.days_of(organization_id))
    table = Table("logs", "a second", title=f"{LOGS:,} logs of {DEVICES:,} devices over {DAYS} days")
    table.add_row("made up, written and counted", f"{LOGS / ours:,.0f}")
    table.add_row(f"insert_many of {number:,} of them", f"{number / spent:,.0f}")
    table.add_row("made up / insert_many", f"{LOGS / ours / (number / spent):.2f}")
    table.add_row("counts that are wrong", str(wrong))
    return table


def _inserted_bare(uri: str) -> tuple[int, float]:
    """How many of the logs that are there were inserted elsewhere, and in how many seconds."""
    some = list(mongo.database()["logs"].find().sort("_id", 1).limit(LARGEST_INSERT * 10))
    parts = [some[start : start + LARGEST_INSERT] for start in range(0, len(some), LARGEST_INSERT)]
    with MongoClient[Row](uri, w=1) as client:
        bare = _bare_logs(client)
        begun = time.perf_counter()
        for part in parts:
            bare.insert_many(part, ordered=False)
        spent = time.perf_counter() - begun
        bare.drop()
    return len(some), spent


def answered(port: int, account: Row) -> Table:
    """Dashboards past the cache, and the same questions put to the logs."""
    table = Table("dashboard", "uncached ms", "from the logs ms", "times", title=f"{ROUNDS} rounds, medians (p95)")
    for noun, query in ASKED.items():
        client = _client(port, account["accessToken"])  # the server has let go of the last one during the other's
        path = f"/api/analytics/dashboard?{query}"
        told = orjson.loads(client.ask("GET", path, **{"Cache-Control": "no-cache"})[1])
        ours = _timed(partial(client.ask, "GET", path, **{"Cache-Control": "no-cache"}), ROUNDS)
        span = told["summary"]["range"]
        raw: list[Row] = []
        theirs = _timed(
            lambda span=span, raw=raw: raw.append(_from_logs(account["organization"]["id"], span)), RAW_ROUNDS
        )
        assert raw[0]["counts"] == _counts(told), "they differ"
        assert abs(raw[0]["usage"] - told["summary"]["totalUsage"]) < 1e-3, "they differ"
        times = statistics.median(theirs) / statistics.median(ours)
        table.add_row(noun, _shown(ours), f"{statistics.median(theirs):.0f}", f"{times:.1f}")
    return table


def _timed(do: Callable[[], Any], rounds: int) -> list[float]:
    spent = []
    for _ in range(rounds):
        begun = time.perf_counter()
        do()
        spent.append((time.perf_counter() - begun) * 1000)
    return spent


def _shown(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} ({sorted(times)[int(len(times) * 0.95) - 1]:.1f})"


def _counts(told: Row) -> Row:
    """What of a dashboard is counted, as `_from_logs` counts it."""
    names = ("totalDevices", "totalLogs", "recentLogs")
    return {
        **{name: told["summary"][name] for name in names},
        "trend": sum(bucket["logCount"] for bucket in told["usageTrend"]),
        "events": {one["event"]: one["count"] for one in told["eventDistribution"]},
        "devices": {one["deviceId"]: one["logCount"] for one in told["deviceBreakdown"]},
    }


def _from_logs(organization_id: str, span: Row) -> Row:
    """What a dashboard tells, aggregated from the logs: those of the range in one go, all that are kept in another."""
    db, owner = mongo.database(), {"organization_id": ObjectId(organization_id)}
    start, end, oldest = (datetime.fromisoformat(span[name]) for name in ("from", "to", "oldestKept"))
    used = {"$cond": [{"$eq": ["$event", USAGE]}, {"$ifNull": ["$value", 0]}, 0]}
    bucket = {"$dateTrunc": {"date": "$at", "unit": span["interval"], "timezone": span["timezone"]}}
    facets: Row = {
        name: [{"$group": {"_id": by, "count": {"$sum": 1}, "usage": {"$sum": used}}}]
        for name, by in {"trend": bucket, "events": "$event", "devices": "$device_id"}.items()
    }
    facets["devices"] += [{"$sort": {"usage": -1, "count": -1, "_id": 1}}, {"$limit": 100}]
    wanted = {"device_id": 1, "event": 1, "value": 1, "at": 1}
    chosen = {**owner, "at": {"$gte": start, "$lt": end}}
    [found] = db["logs"].aggregate([{"$match": chosen}, {"$project": wanted}, {"$facet": facets}])
    by = {name: f"${name}" for name in ("type", "status", "presence")}
    fleet = list(db["devices"].aggregate([{"$match": owner}, {"$group": {"_id": by, "count": {"$sum": 1}}}]))
    names = {"_id": {"$in": [row["_id"] for row in found["devices"]]}}
    assert len(list(db["devices"].find({**owner, **names}, {"name": 1, "type": 1}))) == len(found["devices"])
    return {
        "usage": sum(row["usage"] for row in found["trend"]),
        "counts": {
            "totalDevices": sum(row["count"] for row in fleet),
            "totalLogs": db["logs"].count_documents({**owner, "at": {"$gte": oldest}}),
            "recentLogs": sum(row["count"] for row in found["events"]),
            "trend": sum(row["count"] for row in found["trend"]),
            "events": {row["_id"]: row["count"] for row in found["events"]},
            "devices": {str(row["_id"]): row["count"] for row in found["devices"]},
        },
    }


def crowds(port: int, account: Row) -> Table:
    """Many who keep a connection and ask for a dashboard, each again as soon as it is answered."""
    columns = ("connected", "answered", "errors", "p50_ms", "p99_ms", "statuses")
    table = Table("dashboard of 30 days", *columns, title=f"{SECONDS / 2:g} s each")
    uncached = ("Cache-Control: no-cache",)
    for noun, number, headers in (("cached", 1000, ()), ("past the cache", 100, uncached)):
        asked = [str(port), account["accessToken"], "/api/analytics/dashboard?range=30d", str(number)]
        command = [sys.executable, "-m", "tests.bench_crowd", *asked, str(SECONDS / 2), *headers]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = orjson.loads(done.stdout)
        table.add_row(f"{number} connections, {noun}", *(_short(found[name]) for name in columns))
    return table


def _short(figure: Any) -> str:
    if isinstance(figure, dict):
        return ", ".join(f"{status}: {number}" for status, number in sorted(figure.items()))
    return f"{figure:g}"


def taken_in(port: int, account: Row, uri: str) -> Table:
    """Batches of 100 logs from 50 clients, and `insert_many` of the same documents, one after the other."""
    device_ids = [row["_id"] for row in mongo.database()["devices"].find({}, {"_id": 1}).limit(CLIENTS)]
    ours = _rate(lambda number: _posting(port, account["accessToken"], str(device_ids[number % len(device_ids)])))
    client: MongoClient[Row] = MongoClient(uri, w="majority", maxPoolSize=CLIENTS)
    bare = _rate(
        lambda number: _inserting(client, account["organization"]["id"], device_ids[number % len(device_ids)])
    )
    organization_id = ObjectId(account["organization"]["id"])
    today = clock.now() - timedelta(days=1)
    wrong = sum(
        rebuilding.check(organization_id, day).wrong for day in rebuilding.days_of(organization_id) if day > today
    )
    table = Table("logs", "a second", title=f"{CLIENTS} clients, batches of {BATCH}, {SECONDS:g} s each")
    table.add_row("taken in, counted and acknowledged", f"{ours:,.0f}")
    table.add_row("insert_many of the same documents", f"{bare:,.0f}")
    table.add_row("taken in / insert_many", f"{ours / bare:.2f}")
    table.add_row("counts that were wrong afterwards", str(wrong))
    return table


def _rate(worker: Callable[[int], Callable[[], int]]) -> float:
    end, done = time.perf_counter() + SECONDS, [0] * CLIENTS

    def work(number: int) -> None:
        once = worker(number)
        while time.perf_counter() < end:
            done[number] += once()

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(work, range(CLIENTS)))
    return sum(done) / SECONDS


def _posting(port: int, token: str, device_id: str) -> Callable[[], int]:
    client = _client(port, token)
    path = f"/api/devices/{device_id}/logs"

    def once() -> int:
        now = clock.rfc3339(clock.now())
        logs = [
            {"event": USAGE, "value": number / 8, "timestamp": now, "level": "info"} for number in range(BATCH)
        ]
        answer, body = client.ask("POST", path, {"logs": logs})
        assert answer.status == 201, body
        return BATCH

    return once


def _inserting(client: "MongoClient[Row]", organization_id: str, device_id: ObjectId) -> Callable[[], int]:
    with _lock:
        logs = _bare_logs(client)
    owner = {"organization_id": ObjectId(organization_id), "device_id": device_id}

    def once() -> int:
        now = datetime.now(UTC)
        rows = [
            {**owner, "event": USAGE, "value": number / 8, "level": "info", "at": now, "received_at": now}
            for number in range(BATCH)
        ]
        return len(logs.insert_many(rows).inserted_ids)

    return once


def _bare_logs(client: "MongoClient[Row]") -> "Collection[Row]":
    """A collection with the same indexes as that of logs, so that the other's counts stay what they are."""
    logs = client.get_default_database()["bare_logs"]
    for name, index in client.get_default_database()["logs"].index_information().items():
        options = {key: index[key] for key in ("unique", "partialFilterExpression") if key in index}
        if name != "_id_":
            logs.create_index(index["key"], name=name, **options)
    return logs


_lock = threading.Lock()

if __name__ == "__main__":
    main()
