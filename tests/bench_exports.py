"""`make bench-exports`: files of a million logs, beside reading them and doing nothing; what they take, and what ends them.

`LOGS` says how many (1 000 000). A real server and a real worker; the limit of exports is raised.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from bson import ObjectId
from pymongo import MongoClient
from rich.console import Console
from rich.progress import track
from rich.table import Table

from devicehub.app import create_app
from devicehub.core import config, migrations, mongo
from devicehub.embedded.processes import start_mongod, start_redis
from tests.conftest import NO_LIMITS, ROOT, SECRETS, free_port, named, start_server
from tests.factories import PASSWORD

LOGS = int(os.environ.get("LOGS", "1000000"))
DEVICES, ROUNDS, BATCH, CROWD = 1000, 3, 10_000, 50
EVENTS = ("units_consumed", "temperature", "door_opened", "heartbeat_missed")
END = datetime(2026, 6, 1, tzinfo=UTC)
SPAN = timedelta(days=80)

Row = dict[str, Any]


class Worker:
    """A real worker, and the most that its jobs have taken, in MB beyond what it takes idle."""

    def __init__(self, environment: dict[str, str]) -> None:
        command = [sys.executable, str(ROOT / "worker.py")]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
        time.sleep(8)  # until it has loaded all it has
        self.idle = _own(psutil.Process(self.process.pid))

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """Measure its job's process during a block, ten times a second: own memory, not what it shares."""
        seen, over = [0.0], threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                for child in psutil.Process(self.process.pid).children():
                    try:
                        seen.append(_own(child))
                    except psutil.Error:
                        continue

        thread = threading.Thread(target=watch)
        thread.start()
        yield seen
        over.set()
        thread.join()

    def kill(self) -> None:
        """End it and the process of its job, at once."""
        for child in psutil.Process(self.process.pid).children():
            child.kill()
        self.process.kill()
        self.process.wait()


def _own(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / (1 << 20)


class Site:
    """What a user sees: exports over HTTP."""

    def __init__(self, url: str, email: str = "ada@example.com") -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        self.http.post("/api/auth/signup", json={"name": "Ada", "email": email, "password": PASSWORD})
        signed_in = self.http.post("/api/auth/login", json={"email": email, "password": PASSWORD}).json()
        self.http.headers["Authorization"] = f"Bearer {signed_in['accessToken']}"
        self.organization_id = ObjectId(signed_in["organization"]["id"])

    def ask(self, days: float = SPAN.days + 1, **wanted: Any) -> str:
        span = {"startDate": (END - timedelta(days=days)).isoformat(), "endDate": END.isoformat()}
        body = {"type": "logs", "format": "csv", "dateRange": span} | wanted
        return str(self.http.post("/api/export/jobs", json=body).raise_for_status().json()["jobId"])

    def read(self, job_id: str) -> Row:
        return dict(self.http.get(f"/api/export/jobs/{job_id}").raise_for_status().json())

    def ended(self, job_id: str, status: str = "completed") -> Row:
        while (export := self.read(job_id))["status"] in ("pending", "processing"):
            time.sleep(0.1)
        assert export["status"] == status, export
        return export

    def begun(self, job_id: str, records: int) -> None:
        while self.read(job_id)["progress"]["processedRecords"] < records:
            time.sleep(0.05)

    def is_sound(self, export: Row) -> bool:
        """Whether the download has the checksum, the size and the lines that it should have."""
        digest, lines = hashlib.sha256(), 0
        with self.http.stream("GET", f"/api/export/jobs/{export['jobId']}/download") as answer:
            for part in answer.iter_bytes():
                digest.update(part)
                lines += part.count(b"\n")
        result = export["result"]
        return digest.hexdigest() == result["sha256"] and lines == result["recordCount"] + 1


def main() -> None:
    """Start everything on empty folders, fill it, measure, print."""
    console = Console()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mongod = start_mongod(folder / "mongo", port=free_port())
        redis = start_redis(folder / "redis", port=free_port())
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
        server, environment = start_server(settings, {}), named(settings)
        worker = Worker(environment)
        try:
            site = Site(server.url)
            fill(site, mongod.url)
            console.print(rates(site, worker, mongod.url))
            console.print(crowds(site, server.url))
            console.print(f"Called off while it is made: stopped after {called_off(site):.1f} s")
            console.print(f"Killed (-9), worker and process: {killed(site, worker, environment)}")
        finally:
            worker.kill() if worker.process.poll() is None else None
            server.stop()
            redis.stop()
            mongod.stop()


def fill(site: Site, url: str) -> None:
    """Write the logs, past the service: what is counted of them is of no concern here."""
    with MongoClient[Row](url) as client:
        db = client.get_default_database("devicehub")
        devices = [ObjectId() for _ in range(DEVICES)]
        step = SPAN / LOGS
        for first in track(range(0, LOGS, BATCH), description="Writing logs"):
            rows = [
                {
                    "organization_id": site.organization_id,
                    "device_id": devices[n % DEVICES],
                    "event": EVENTS[n % 4],
                    "level": "info" if n % 10 else "error",
                    "value": (n % 1000) / 4,
                    **({"message": f"Reading {n} of the boiler, all is well"} if n % 3 == 0 else {}),
                    **({"metadata": {"firmware": "1.4.2", "attempt": n % 7}} if n % 5 == 0 else {}),
                    "at": END - SPAN + n * step,
                    "received_at": END,
                }
                for n in range(first, min(first + BATCH, LOGS))
            ]
            db["logs"].insert_many(rows, ordered=False)


def rates(site: Site, worker: Worker, url: str) -> Table:
    """Reading raw, and exporting, in turn."""
    raw, exported = list[float](), list[float]()
    for _ in range(ROUNDS):
        raw.append(read_raw(site, url))
        exported.append(site.ended(site.ask())["duration"])
    table = Table(title=f"{LOGS:,} logs; the worker takes {worker.idle:.0f} MB idle", title_justify="left")
    for column in ("", "rows/s", "of reading", "seconds", "MB above idle", "file, MB", "checksum and rows"):
        table.add_column(column, justify="right")
    best = LOGS / statistics.median(raw)
    table.add_row("raw cursor read", f"{best:,.0f}", "1.00", f"{statistics.median(raw):.1f}", "", "", "")
    for label, days, wanted in (
        ("CSV", SPAN.days + 1, {}),
        ("CSV of a tenth", SPAN.days / 10, {}),
        ("CSV, wide", SPAN.days + 1, {"layout": "wide"}),
        ("CSV, gzipped", SPAN.days + 1, {"compress": True}),
        ("NDJSON", SPAN.days + 1, {"format": "ndjson"}),
    ):
        with worker.watched() as seen:
            export = site.ended(site.ask(days=days, **wanted))
        seconds = statistics.median(exported) if label == "CSV" else export["duration"]
        rate = export["result"]["recordCount"] / seconds
        is_plain = label.startswith("CSV") and not wanted.get("compress")
        sound = "sound" if is_plain and not wanted and site.is_sound(export) else "" if wanted else "WRONG"
        size = export["result"]["fileSize"] / 1e6
        table.add_row(
            label, f"{rate:,.0f}", f"{rate / best:.2f}", f"{seconds:.1f}", f"{max(seen):.0f}", f"{size:.0f}", sound
        )
    return table


def read_raw(site: Site, url: str) -> float:
    """The seconds that reading all of them takes, in the order of an export, and doing nothing with them."""
    with MongoClient[Row](url) as client:
        logs = client.get_default_database("devicehub")["logs"]
        begun = time.perf_counter()
        chosen = {"organization_id": site.organization_id, "at": {"$lt": END}}
        order = [("device_id", -1), ("at", 1), ("_id", 1)]
        total = sum(len(batch) for batch in logs.find_raw_batches(chosen).sort(order).hint("of_device"))
        assert total > LOGS * 100
        return time.perf_counter() - begun


def crowds(site: Site, url: str) -> str:
    """Twenty of one person, then one of another; and fifty at once."""
    other = Site(url, "grace@example.com")
    ours = [site.ask(days=0.1) for _ in range(20)]
    theirs = other.ask()
    ended = {job_id: site.ended(job_id) for job_id in ours} | {theirs: other.ended(theirs)}
    before = sum(export["startedAt"] < ended[theirs]["startedAt"] for export in ended.values())
    many = [site.ask(days=0.1) for _ in range(CROWD)]
    done = sum(site.ended(job_id)["status"] == "completed" for job_id in many)
    return f"Of 20 exports of one person {before} came before another's; of {CROWD} at once {done} were completed"


def called_off(site: Site) -> float:
    job_id = site.ask()
    site.begun(job_id, LOGS // 20)
    begun = time.perf_counter()
    site.http.post(f"/api/export/jobs/{job_id}/cancel").raise_for_status()
    site.ended(job_id, "cancelled")
    return time.perf_counter() - begun


def killed(site: Site, worker: Worker, environment: dict[str, str]) -> str:
    job_id = site.ask()
    site.begun(job_id, LOGS // 20)
    worker.kill()
    begun = time.perf_counter()
    worker.process = Worker(environment).process
    while site.read(job_id)["attempts"] < 2:
        time.sleep(0.1)
    taken_over = time.perf_counter() - begun
    export = site.ended(job_id)
    whole = site.is_sound(export) and export["result"]["recordCount"] == LOGS
    finished = time.perf_counter() - begun
    return f"taken over after {taken_over:.0f} s, finished after {finished:.0f} s, each row once: {whole}"


if __name__ == "__main__":
    main()
