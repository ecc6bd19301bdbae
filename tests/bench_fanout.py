"""`make bench-fanout`: one room of many clients, told by our server, by plain Flask-SocketIO and by Node's socket.io.

All three stand side by side on one Redis and are measured in turn, several times, by clients that do nothing but
count. Every event is published by this process, in each server's own way: to the log, to Flask-SocketIO's queue, in
the form of Node's Redis adapter. Ratios within one run travel; rates do not.
"""

import json
import os
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import redis
import socketio
from rich.console import Console
from rich.table import Table

from devicehub.core import config
from devicehub.core.config import Settings
from devicehub.core.redis import Redis
from devicehub.embedded.processes import start_mongod, start_redis
from devicehub.realtime.log import Entry, EventLog
from tests.conftest import NO_LIMITS, ROOT, SECRETS, free_port, start_server, wait_until

CLIENTS = int(os.environ.get("CLIENTS", "500"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = 5.0
STEADY = 100  # events a second, where latency is asked for
# At the ceiling: events under way, so many that nobody waits for the next; and the pause between two looks at what
# came, for to read every message by itself would cost more than to send it.
AHEAD = int(os.environ.get("AHEAD", "200"))
PAUSE_S = 0.02
SAMPLED = 20  # clients that look at the time in what they hear

EVENT = b'["device-heartbeat",'
SENT = b'"sent":'
PING, PONG = b"\x81\x012", b"\x81\x81\0\0\0\x003"
PAYLOAD = {
    "type": "device_heartbeat",
    "organizationId": "65f000000000000000000001",
    "deviceId": "65f000000000000000000003",
    "status": "active",
    "presence": "online",
    "lastActiveAt": "2026-01-31T12:00:00.005Z",
    "timestamp": "2026-01-31T12:00:00.005Z",
}

Publish = Callable[[dict[str, Any]], object]


@dataclass
class Client:
    """A WebSocket that counts, for its server."""

    connection: socket.socket
    server: "Contender"
    sampled: bool
    rest: bytes = b""


@dataclass
class Contender:
    """A server, how it is told of an event, and what was measured of it."""

    name: str
    url: str
    pid: int
    publish: Publish
    token: str = ""
    heard: int = 0
    rates: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


def main() -> None:
    """Start everything on empty folders, measure, print."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        mongod = start_mongod(folder / "mongo", port=free_port())
        stack.callback(mongod.stop)
        server = start_redis(folder / "redis", port=free_port())
        stack.callback(server.stop)
        contenders = [
            ours(folder, mongod.url, server.url, stack),
            plain(server.url, stack),
            node(server.url, stack),
        ]
        console = Console(width=120)
        ears = Ears()
        for contender in contenders:
            connect(contender, ears)
        for number in range(ROUNDS):
            for contender in contenders:
                measure(contender, ears)
                console.print(f"round {number + 1}: {contender.name} {contender.rates[-1]:,.0f} messages/s")
        console.print(table(contenders))


# The servers


def ours(folder: Path, mongodb_url: str, redis_url: str, stack: ExitStack) -> Contender:
    settings: Settings = config.load(
        _env_file=None,
        app_env="development",
        mongodb_uri=mongodb_url,
        redis_url=redis_url,
        devicehub_var=folder,
        log_level="WARNING",
        **SECRETS,
        **NO_LIMITS,
    )
    server = start_server(settings, {})
    stack.callback(partial(server.process.wait, 60))
    stack.callback(server.process.terminate)
    account = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "correct horse battery"}
    httpx.post(f"{server.url}/api/auth/signup", json=account).raise_for_status()
    del account["name"]
    answer = httpx.post(f"{server.url}/api/auth/login", json=account).raise_for_status().json()
    log = EventLog(Redis(redis_url, timeout=1), window=10_000)
    organization_id = answer["organization"]["id"]

    def publish(payload: dict[str, Any]) -> None:
        text = json.dumps(payload, separators=(",", ":"))
        log.publish(organization_id, Entry("device-heartbeat", "org", text.encode()))

    return Contender("DeviceHub", server.url, server.process.pid, publish, answer["accessToken"])


def plain(redis_url: str, stack: ExitStack) -> Contender:
    port = free_port()
    options = f"-k gevent -w 1 --worker-connections 4000 -t 0 -b 127.0.0.1:{port} --log-level error"
    command = [sys.executable, "-m", "gunicorn", *options.split(), "tests.bench_plain:app"]
    pid = start(command, ROOT, port, stack, REDIS_URL=redis_url)
    queue = socketio.RedisManager(redis_url, channel="flask-socketio", write_only=True)
    tell = partial(queue.emit, "device-heartbeat", room="room")
    return Contender("Flask-SocketIO", f"http://127.0.0.1:{port}", pid, with_id(tell))


def node(redis_url: str, stack: ExitStack) -> Contender:
    port = free_port()
    pid = start(["node", "fanout.mjs", str(port), redis_url], ROOT / "tests" / "clients", port, stack)
    client = redis.Redis.from_url(redis_url)

    def tell(payload: dict[str, Any]) -> None:
        packet = {"type": 2, "data": ["device-heartbeat", payload], "nsp": "/"}
        options = {"rooms": ["room"], "except": [], "flags": {}}
        client.publish("socket.io#/#room#", packed(["bench", packet, options]))

    return Contender("Node socket.io", f"http://127.0.0.1:{port}", pid, with_id(tell))


def with_id(tell: Publish) -> Publish:
    """What the log adds to ours."""
    return lambda payload: tell({"id": "1795678831371-206852846845954", **payload})


def packed(value: Any) -> bytes:
    """MessagePack, as far as the adapter's messages need it."""
    if isinstance(value, str):
        return b"\xda" + len(value.encode()).to_bytes(2, "big") + value.encode()
    if isinstance(value, int):
        return bytes([value])
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, list):
        return bytes([0x90 + len(value)]) + b"".join(map(packed, value))
    return (
        b"\xde" + len(value).to_bytes(2, "big") + b"".join(packed(part) for pair in value.items() for part in pair)
    )


def start(command: list[str], folder: Path, port: int, stack: ExitStack, **environment: str) -> int:
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environment)
    stack.callback(partial(process.wait, 60))
    stack.callback(process.terminate)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(answers, 30, f"{command} to listen")
    return process.pid


# The clients


def connect(contender: Contender, ears: "Ears") -> None:
    """Let every client in; each has been greeted then."""
    host, port = contender.url.removeprefix("http://").split(":")
    for number in range(CLIENTS):
        connection = socket.create_connection((host, int(port)), timeout=30)
        connection.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        read_until(connection, b"0{")
        text = b"40" + json.dumps({"token": contender.token.ljust(200)}).encode()
        connection.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text)
        read_until(connection, b'42["connected"')
        ears.add(Client(connection, contender, number % (CLIENTS // SAMPLED) == 0))
        ears.listen(0)  # and answer pings


def read_until(connection: socket.socket, wanted: bytes) -> None:
    got = b""
    while wanted not in got:
        chunk = connection.recv(1 << 16)
        if not chunk:
            raise RuntimeError(f"not let in: {got!r}")
        got += chunk


class Ears:
    """All clients of all servers, heard in one loop."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self._selector = selectors.EpollSelector()

    def add(self, client: Client) -> None:
        client.connection.setblocking(False)
        self._selector.register(client.connection, selectors.EVENT_READ, client)

    def listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            client: Client = key.data
            data = client.rest + client.connection.recv(1 << 18)
            if data == client.rest:
                raise RuntimeError(f"{client.server.name} cut a client off")
            count = data.count(EVENT)
            client.server.heard += count
            # All but a beginning of the next event, which is counted when the rest of it has come.
            client.rest = data[-len(EVENT) + 1 :] if not data.endswith(b"}]") else b""
            if client.sampled and count:
                self._look(data)
            if PING in data:
                client.connection.sendall(PONG)
                client.rest = b""

    def _look(self, data: bytes) -> None:
        now = time.time()
        for part in data.split(SENT)[1:]:
            end = part.find(b"}")
            if end > 0:
                self.latencies.append(now - float(part[:end]))


# What is measured


def measure(contender: Contender, ears: Ears) -> None:
    """One round: the ceiling, with a few events under way at any time; then the time an event takes at a rate."""
    run(contender, ears, 1.0, lambda _, under_way: under_way < AHEAD, pause=PAUSE_S)
    before, cpu, started = contender.heard, cpu_seconds(contender.pid), time.monotonic()
    run(contender, ears, SECONDS, lambda _, under_way: under_way < AHEAD, pause=PAUSE_S)
    elapsed = time.monotonic() - started
    contender.rates.append((contender.heard - before) / elapsed)
    contender.per_cpu.append((contender.heard - before) / (cpu_seconds(contender.pid) - cpu))
    ears.latencies.clear()
    run(contender, ears, SECONDS, lambda lacking, _: lacking >= 1)
    contender.latencies += ears.latencies


def run(
    contender: Contender, ears: Ears, seconds: float, is_due: Callable[[float, float], bool], *, pause: float = 0
) -> None:
    """Publish whenever it is due, listen in between, and hear out what is under way at the end.

    It may depend on how many events are lacking to the steady rate, and on how many are under way.
    """
    published, before, started = 0, contender.heard, time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        while is_due(elapsed * STEADY - published, published - (contender.heard - before) / CLIENTS):
            contender.publish(PAYLOAD | {"metrics": {"sent": time.time()}})
            published += 1
        time.sleep(pause)
        ears.listen(0.001)
    deadline = time.monotonic() + 30
    while contender.heard - before < published * CLIENTS:
        ears.listen(0.1)
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{contender.name}: {contender.heard - before} of {published * CLIENTS} messages came"
            )


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used, by the scheduler's own clock: that of `stat` ticks."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(") ")[2].split()[1]
            if str(pid) in (path.parent.name, parent):
                tasks = path.parent.glob("task/*/schedstat")
                total += sum(int(task.read_text().split()[0]) for task in tasks)
        except OSError:  # it has ended
            continue
    return total / 1e9


def table(contenders: list[Contender]) -> Table:
    """Medians of the rounds, and ours as a multiple of each."""
    us = contenders[0]
    made = Table(
        "server",
        "messages/s",
        "per CPU second",
        "p50 ms",
        "p99 ms",
        "ours / this",
        "ours / this, per CPU",
        title=f"{CLIENTS} clients in one room, {ROUNDS} rounds of {SECONDS:g} s; latency at {STEADY} events/s",
    )
    for one in contenders:
        cuts = statistics.quantiles(one.latencies, n=100)
        made.add_row(
            one.name,
            f"{statistics.median(one.rates):,.0f}",
            f"{statistics.median(one.per_cpu):,.0f}",
            f"{cuts[49] * 1000:.1f}",
            f"{cuts[98] * 1000:.1f}",
            _ratio(us.rates, one.rates),
            _ratio(us.per_cpu, one.per_cpu),
        )
    return made


def _ratio(ours_: list[float], theirs: list[float]) -> str:
    """Of each round by itself, for a machine may be slower in the next."""
    ratios = [a / b for a, b in zip(ours_, theirs, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


if __name__ == "__main__":
    main()
