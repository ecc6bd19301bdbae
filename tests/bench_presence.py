"""`make bench-presence`: presence under fire, each promise beside what was found. Ends with 1 if one is not kept.

`MINUTES=5` is how long the fleet beats; `ONLY=fleet` (or `storms`, `groups`, `killed`) measures one part alone. Servers,
fleet and watchers are processes of their own and share the cores of this machine, so nothing else should run on it.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pymongo import MongoClient
from rich.console import Console
from rich.table import Table

from devicehub.core import config
from devicehub.core.config import Settings
from devicehub.embedded.processes import Server, start_mongod, start_redis
from tests.bench import ADA, Client, _sign_up, _somebody, grouped_rates
from tests.bench_storm import FLEET, Figures, figures_of_storms
from tests.conftest import NO_LIMITS, ROOT, SECRETS, free_port, start_server, wait_until

MINUTES = float(os.environ.get("MINUTES", "5"))
ONLY = os.environ.get("ONLY", "")
INTERVAL_S, WATCHERS = 30, 20
# 10 000 beat all the time, one in twenty of all falls silent after a minute.
DEVICES, SILENT_PERCENT = int(os.environ.get("DEVICES", "10526")), 5
CALLERS, BEFORE_THE_END_S = 128, 4.0


@dataclass
class Books:
    """What was promised, and what was found of it."""

    rows: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def note(self, what: str, asked: str, found: object, is_kept: bool) -> None:
        self.rows.append((what, asked, str(found), is_kept))

    def at_most(self, what: str, most: float, found: float, unit: str = "") -> None:
        self.note(what, f"at most {most:g}{unit}", f"{found:.4g}{unit}", found <= most)

    def exactly(self, what: str, asked: object, found: object) -> None:
        self.note(what, str(asked), found, asked == found)

    @property
    def are_kept(self) -> bool:
        return all(is_kept for *_, is_kept in self.rows)

    def table(self) -> Table:
        table = Table("", "promised", "found", title="presence under fire")
        for what, asked, found, is_kept in self.rows:
            table.add_row(what, asked, found, style=None if is_kept else "red")
        return table


@dataclass
class Ground:
    """The servers below, on empty folders."""

    settings: Settings
    folder: Path
    mongod: Server

    def restart_mongod(self) -> None:
        port = int(self.mongod.url.split("127.0.0.1:")[1].split("/")[0])
        self.mongod = start_mongod(self.folder / "mongo", port=port)


def main() -> None:
    """Start everything, measure, print."""
    console, books = Console(highlight=False, width=130), Books()
    parts = {"fleet": fleet, "storms": storms, "groups": groups, "killed": killed}
    with tempfile.TemporaryDirectory() as name:
        for ground in _ground(Path(name)):
            for part, measure in parts.items():
                if ONLY in ("", part):
                    measure(ground, books)
    console.print(books.table())
    sys.exit(not books.are_kept)


def _ground(folder: Path) -> Iterator[Ground]:
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
    ground = Ground(settings, folder, mongod)
    try:
        yield ground
    finally:
        redis.stop()
        ground.mongod.stop()


# A fleet that beats for minutes


def fleet(ground: Ground, books: Books) -> None:
    """Through HTTP, with keys of the devices' own, while others watch."""
    server = start_server(ground.settings, {})
    try:
        asks = Client(int(server.url.rpartition(":")[2]))
        asks.ask("POST", "/api/auth/signup", ADA)
        _, answer = asks.ask("POST", "/api/auth/login", {key: ADA[key] for key in ("email", "password")})
        token = orjson.loads(answer)["accessToken"]
        watching = [sys.executable, "-m", "tests.bench_watch", server.url, token, str(WATCHERS)]
        with subprocess.Popen(watching, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as watchers:
            assert watchers.stdout is not None
            watchers.stdout.readline()
            code, said = _simulate(server.url, ground.folder)
            told, _ = watchers.communicate()
        _judge_fleet(books, code, said, orjson.loads(told))
    finally:
        server.stop()


def _simulate(url: str, folder: Path) -> tuple[int, str]:
    """Let `devicehub simulate` beat and judge; what it says is shown as it comes."""
    asked = {
        "--scenario": "silent",
        "--share": str(SILENT_PERCENT),
        "--devices": str(DEVICES),
        "--interval": f"{INTERVAL_S}s",
        "--for": f"{MINUTES * 60:g}s",
        "--url": url,
        "--email": ADA["email"],
        "--password": ADA["password"],
    }
    command = [
        sys.executable,
        "-m",
        "devicehub.cli",
        "simulate",
        *(word for pair in asked.items() for word in pair),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
    said: list[str] = []
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line)
    return process.returncode, "".join(said)


def _judge_fleet(books: Books, code: int, said: str, watchers: list[dict[str, Any]]) -> None:
    figures = dict(re.findall(r"^(sent|ok|errors|p50|p95|p99|beats/s) +(\S.*)$", said, re.MULTILINE))
    figures = {name: float(figure.split()[0].replace(",", "")) for name, figure in figures.items()}
    heard = int(figures["ok"]) + DEVICES  # each said goodbye first
    silent = DEVICES * SILENT_PERCENT // 100
    stories = {"online": DEVICES - silent, "online late offline": silent}
    books.exactly("fleet: beats not accepted", 0, int(figures["sent"] - figures["ok"]))
    books.note("fleet: beats a second", f"{(DEVICES - silent) / INTERVAL_S:.0f}", figures["beats/s"], True)
    books.at_most("fleet: p95", 50, figures["p95"], " ms")
    books.note("fleet: p50, p99", "-", f"{figures['p50']:g} ms, {figures['p99']:g} ms", True)
    books.exactly("fleet: what the simulator found of it", 0, code)
    books.exactly(f"{WATCHERS} sockets: beats and goodbyes heard by each", [heard], _different(watchers, "beats"))
    books.exactly(f"{WATCHERS} sockets: presence as told to each", [stories], _different(watchers, "stories"))
    books.exactly(f"{WATCHERS} sockets: out of order", [0], _different(watchers, "disorder"))


def _different(watchers: list[dict[str, Any]], what: str) -> list[Any]:
    """What they say, each answer once."""
    answers: list[Any] = []
    for watcher in watchers:
        if watcher[what] not in answers:
            answers.append(watcher[what])
    return answers


# All silent at once


def storms(ground: Ground, books: Books) -> None:
    """A thousand silenced: undisturbed, with the sweeper killed, with Redis emptied."""
    for name, figures in figures_of_storms(ground.settings, _somebody):
        most = 7.0 if "killed" in name else 2.0
        books.exactly(f"{name}: offline", FLEET, figures.offline)
        books.at_most(f"{name}: the last told after its window", most, figures.lag, " s")
        books.exactly(f"{name}: once in its history", FLEET, figures.recorded_once)
        _judge_told(name, figures, books)


def _judge_told(name: str, figures: Figures, books: Books) -> None:
    told = f"{figures.once} once, {figures.twice} twice, {figures.more} more often"
    if "emptied" in name:
        is_right = figures.once + figures.twice == FLEET and figures.more == 0
        books.note(f"{name}: told", "once or twice", told, is_right)
    else:
        books.note(f"{name}: told", "once", told, figures.once == FLEET)


# Written in groups


def groups(ground: Ground, books: Books) -> None:
    """Beats written in groups, and each by itself."""
    server = start_server(ground.settings, {})  # which makes the indexes
    server.stop()
    rates = grouped_rates(ground.settings)
    ratio = rates["in a group"] / rates["by itself"]
    found = f"{ratio:.2f} ({rates['in a group']:.0f} and {rates['by itself']:.0f} a second)"
    books.note(f"{CALLERS} callers: in groups / one by one", "at least 1.7", found, ratio >= 1.7)


def killed(ground: Ground, books: Books) -> None:
    """MongoDB is killed under load: what was acknowledged is there when it comes back."""
    server = start_server(ground.settings, {})
    try:
        asks = Client(int(server.url.rpartition(":")[2]))
        _sign_up(asks)
        fleet = [{"name": f"Sensor {n}", "type": "sensor"} for n in range(CALLERS)]
        _, answer = asks.ask("POST", "/api/devices/batch", {"devices": fleet, "issueKeys": True})
        keys = {item["device"]["id"]: item["key"] for item in orjson.loads(answer)["items"]}
        killing = threading.Timer(BEFORE_THE_END_S, ground.mongod.kill)
        killing.start()
        with ThreadPoolExecutor(CALLERS) as callers:
            ends = dict(zip(keys, callers.map(_until_refused(server.url), keys.items()), strict=True))
        killing.join()
        ground.restart_mongod()
        wait_until(lambda: asks.ask("GET", "/health/ready")[0].status == 200, 30, "MongoDB to be back")
        acknowledged = {device_id: number for device_id, (number, _) in ends.items()}
        _judge_kept(ground.settings, acknowledged, books)
        books.exactly(
            "MongoDB killed: answers to the beats it lost", [503], sorted({one for _, one in ends.values()})
        )
    finally:
        server.stop()


def _until_refused(url: str) -> Callable[[tuple[str, str]], tuple[int, int]]:
    port, deadline = int(url.rpartition(":")[2]), time.monotonic() + 60

    def beat(one: tuple[str, str]) -> tuple[int, int]:
        """Numbered beats of a device; the number of the last one acknowledged, and what the next was answered."""
        (device_id, key), number, asks = one, -1, Client(port)
        asks.headers = {"Authorization": f"Bearer {key}"}
        while time.monotonic() < deadline:
            body = {"metrics": {"number": number + 1}}
            status = asks.ask("POST", f"/api/devices/{device_id}/heartbeat", body)[0].status
            if status != 200:
                return number, status
            number += 1
        return number, 0

    return beat


def _judge_kept(settings: Settings, acknowledged: dict[str, int], books: Books) -> None:
    with MongoClient(settings.mongodb_uri) as client:
        rows = client.get_default_database("devicehub")["devices"].find({}, {"metrics.number": 1})
        kept = {str(row["_id"]): row.get("metrics", {}).get("number", -1) for row in rows}
    missing = [device_id for device_id, number in acknowledged.items() if kept[device_id] < number]
    count = sum(acknowledged.values()) + len(acknowledged)
    books.exactly(f"MongoDB killed: of {count:,} acknowledged beats missing", 0, len(missing))


if __name__ == "__main__":
    main()
