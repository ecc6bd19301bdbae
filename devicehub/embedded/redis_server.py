"""Redis for a first run and for the tests: append-only file, loopback, nothing evicted."""

import socket
from pathlib import Path

from devicehub.embedded import binaries, ports, servers
from devicehub.embedded.binaries import Binary
from devicehub.embedded.children import Child, Program, wait_until
from devicehub.embedded.servers import Server

OPTIONS = (
    *("--bind", ports.LOOPBACK),
    *("--appendonly", "yes"),
    *("--save", ""),
    *("--maxmemory", "128mb"),
    *("--maxmemory-policy", "noeviction"),
)


def start_redis(folder: Path, *, port: int = 6379) -> Server:
    """Start Redis on what `folder` holds and wait until it answers.

    It listens on the port it had before, else on `port`, or on the next free one after that.
    """
    home = servers.home(folder, "redis")
    binary = binaries.find(binaries.REDIS, folder / "lib")
    port, child = servers.start_near(port, home / "port", lambda free: _start(binary, home, free))
    return Server("redis", f"redis://{ports.LOOPBACK}:{port}/0", port, child)


def _start(binary: Binary, home: Path, port: int) -> Child:
    program = Program(
        name="redis",
        command=(str(binary.path), *OPTIONS, "--port", str(port)),
        cwd=home,  # it keeps its files where it stands
        environment=binary.environment,
        log=home / "redis.log",
        lock=home / "lock",
    )
    child = Child(program)
    with servers.serving(child, port):
        if not wait_until(lambda: _answers(port), servers.READY_S):
            raise servers.failed(child, "does not answer")
    return child


def _answers(port: int) -> bool:
    """Whether it has read its data: until then it listens, but refuses."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
