"""`make bench`: figures, measured side by side in one run on this machine. Ratios travel, absolute times do not."""

import http.client
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from devicehub.core import config
from devicehub.core.config import Settings
from devicehub.embedded.processes import start_mongod, start_redis
from tests.bench_keys import Ask, keys_and_tokens
from tests.bench_storm import Asks, storms
from tests.conftest import NO_LIMITS, ROOT, SECRETS, LiveServer, free_port, named, start_server

DEVICES, ROUNDS = 1000, 400
TRIES, CROWD = 40, 100
QUIET = {"SLOW_REQUEST_MS": "600000"}  # hashing is slow on purpose
ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "correct horse battery"}
NOBODY = "nobody@example.com"
ASKED = {
    "profile": "/api/users/profile",
    "list of 20": "/api/devices",
    "list of 100": "/api/devices?limit=100&sort=name",
}


class Client:
    """One connection, kept; small enough not to be what is measured."""

    def __init__(self, port: int, *, timeout: float = 30) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.headers: dict[str, str] = {}

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        sent = self.headers | headers
        if body is not None:
            sent = sent | {"Content-Type": "application/json"}
        self.connection.request(method, path, orjson.dumps(body) if body is not None else None, sent)
        answer = self.connection.getresponse()
        return answer, answer.read()


def main() -> None:
    """Start everything on empty folders, measure, print."""
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
            log_level="WARNING",
            **SECRETS,
            **NO_LIMITS,
        )
        try:
            console.print(cached_and_uncached(settings))
            console.print(known_and_unknown(settings))
            console.print(signing_in_at_once(settings))
            console.print(grouped_and_single(settings))
            console.print(keys_and_tokens(settings, sign_up=_token, connect=_connect))
            console.print(storms(settings, _somebody))
        finally:
            redis.stop()
            mongod.stop()


def cached_and_uncached(settings: Settings) -> Table:
    """Times of reads from the cache, past it, and answered with 304, in turn, on one connection."""
    server = start_server(settings, {})
    try:
        client = Client(int(server.url.rpartition(":")[2]))
        _fill(client)
        table = Table(
            "read",
            "cached ms",
            "uncached ms",
            "304 ms",
            "uncached / cached",
            title=f"{DEVICES} devices, {ROUNDS} rounds, medians (p95)",
        )
        for noun, path in ASKED.items():
            etag = client.ask("GET", path)[0].headers["ETag"]
            ways: dict[str, Callable[[], str]] = {
                "HIT": lambda path=path: client.ask("GET", path)[0].headers["X-Cache"],
                "BYPASS": lambda path=path: client.ask("GET", path, **{"Cache-Control": "no-cache"})[0].headers["X-Cache"],
                "304": lambda path=path, etag=etag: str(client.ask("GET", path, **{"If-None-Match": etag})[0].status),
            }  # fmt: skip
            times = _in_turn(noun, ways)
            cached, uncached, unchanged = (times[way] for way in ways)
            ratio = statistics.median(uncached) / statistics.median(cached)
            table.add_row(noun, _shown(cached), _shown(uncached), _shown(unchanged), f"{ratio:.1f}")
        return table
    finally:
        server.stop()


def known_and_unknown(settings: Settings) -> Table:
    """What an address's answers take when there is an account of it and when there is none, in turn.

    Each try comes from another network, so that the lock is met only where it is asked for.
    """
    server = start_server(settings, QUIET | {"TRUSTED_PROXIES": "1"})
    table = Table(
        "answer",
        "known ms",
        "unknown ms",
        "unknown / known",
        title=f"an address known or not, {TRIES} rounds, medians (p95)",
    )
    try:
        client = Client(int(server.url.rpartition(":")[2]))
        client.ask("POST", "/api/auth/signup", ADA)
        networks = count(1)

        def wrong(email: str, ip: str) -> str:
            body = {"email": email, "password": "wrong horse battery"}
            return str(client.ask("POST", "/api/auth/login", body, **{"X-Forwarded-For": ip})[0].status)

        def forgot(email: str) -> str:
            return str(client.ask("POST", "/api/auth/password/forgot", {"email": email})[0].status)

        asks: dict[str, tuple[str, Callable[[str], str]]] = {
            "wrong password": ("401", lambda email: wrong(email, f"192.0.2.{next(networks)}")),
            "locked": ("423", lambda email: wrong(email, "198.51.100.1")),
            "forgot": ("202", forgot),
        }
        for name, (status, ask) in asks.items():
            for email in (ADA["email"], NOBODY) * 5 * (name == "locked"):
                ask(email)
            ways = {email: lambda email=email, ask=ask: ask(email) for email in (ADA["email"], NOBODY)}  # type: ignore[misc]
            times = _in_turn(name, ways, rounds=TRIES, expected=status)
            known, unknown = times[ADA["email"]], times[NOBODY]
            ratio = statistics.median(unknown) / statistics.median(known)
            table.add_row(name, _shown(known), _shown(unknown), f"{ratio:.2f}")
        return table
    finally:
        server.stop()


def signing_in_at_once(settings: Settings) -> Table:
    """How many of a crowd that signs in at once are let in, and whether the process still answers others."""
    server = start_server(settings, QUIET)
    port = int(server.url.rpartition(":")[2])
    try:
        Client(port).ask("POST", "/api/auth/signup", ADA)
        credentials = {key: ADA[key] for key in ("email", "password")}

        def sign_in(_: int) -> int:
            return Client(port, timeout=120).ask("POST", "/api/auth/login", credentials)[0].status

        prober, probes = Client(port), []
        started = time.perf_counter()
        with ThreadPoolExecutor(CROWD) as callers:
            answers = [callers.submit(sign_in, number) for number in range(CROWD)]
            while not all(answer.done() for answer in answers):
                asked = time.perf_counter()
                prober.ask("GET", "/health")
                probes.append((time.perf_counter() - asked) * 1000)
                time.sleep(0.02)
        took = time.perf_counter() - started
        let_in = sum(answer.result() == 200 for answer in answers)
        table = Table("let in", "all answered after s", "/health meanwhile ms", title=f"{CROWD} sign in at once")
        table.add_row(f"{let_in} of {CROWD}", f"{took:.1f}", f"{_shown(probes)}, {max(probes):.0f} at most")
        return table
    finally:
        server.stop()


def grouped_rates(settings: Settings) -> dict[str, float]:
    """Beats a second written in groups and each by itself, in turn, by the same greenlets."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench_heartbeats"],
        env=os.environ | named(settings),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    return {name: statistics.median(found) for name, found in orjson.loads(done.stdout).items()}


def grouped_and_single(settings: Settings) -> Table:
    """Those rates as a table."""
    rates = grouped_rates(settings)
    table = Table("heartbeats", "a second", title="128 devices beat, the ownership check and the event included")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:.0f}")
    table.add_row("in a group / by itself", f"{rates['in a group'] / rates['by itself']:.1f}")
    return table


def _somebody(server: LiveServer) -> Asks:
    """A new person who asks a process."""
    client = Client(int(server.url.rpartition(":")[2]))
    _sign_up(client)
    return Asks(lambda path, body: client.ask("POST", path, body)[1])


def _token(server: LiveServer) -> str:
    """The access token of a new person."""
    client = Client(int(server.url.rpartition(":")[2]))
    _sign_up(client)
    return client.headers["Authorization"].removeprefix("Bearer ")


def _connect(server: LiveServer, headers: dict[str, str]) -> Ask:
    client = Client(int(server.url.rpartition(":")[2]))
    client.headers = headers

    def ask(path: str, body: object, credential: str) -> tuple[int, bytes]:
        answer, read = client.ask("POST", path, body, Authorization=f"Bearer {credential}")
        return answer.status, read

    return ask


def _fill(client: Client) -> None:
    _sign_up(client)
    for start in range(0, DEVICES, 500):
        devices = [{"name": f"Sensor {n}", "type": "sensor", "tags": ["bench"]} for n in range(start, start + 500)]
        client.ask("POST", "/api/devices/batch", {"devices": devices})


def _sign_up(client: Client) -> None:
    email = f"ada-{secrets.token_hex(4)}@example.com"
    account = {"name": "Ada Lovelace", "email": email, "password": "correct horse battery"}
    client.ask("POST", "/api/auth/signup", account)
    _, body = client.ask("POST", "/api/auth/login", {key: account[key] for key in ("email", "password")})
    client.headers = {"Authorization": f"Bearer {orjson.loads(body)['accessToken']}"}


def _in_turn(
    noun: str, ways: dict[str, Callable[[], str]], *, rounds: int = ROUNDS, expected: str | None = None
) -> dict[str, list[float]]:
    """The times of each way, which has to give `expected`, or else its own name."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in track(range(rounds), description=noun, transient=True):
        for name, way in ways.items():
            started = time.perf_counter()
            result = way()
            times[name].append((time.perf_counter() - started) * 1000)
            if result != (expected or name):
                raise RuntimeError(f"{noun}: expected {expected or name}, was answered {result}")
    return times


def _shown(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({statistics.quantiles(times, n=20)[18]:.2f})"


if __name__ == "__main__":
    main()
