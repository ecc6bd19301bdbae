"""Redis of our own: it keeps what it was given, and nobody else's port or folder."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from devicehub.embedded.children import Child, held
from devicehub.embedded.errors import FolderInUse, ServerFailed
from devicehub.embedded.processes import Server, start_redis
from devicehub.embedded.servers import PortLost, serving
from tests.conftest import ROOT, Servers, free_port

Start = Callable[[Path, int], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Redis on a folder, near a port; none outlives the test."""
    started: list[Server] = []

    def on(folder: Path, port: int) -> Server:
        started.append(start_redis(folder, port=port))
        return started[-1]

    yield on
    for server in started:
        server.kill()


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_data_and_address_survive_any_end(start: Start, tmp_path: Path, end: Callable[[Server], None]) -> None:
    first = start(tmp_path, free_port())
    with redis.Redis.from_url(first.url) as connection:
        connection.set("kept", "yes")
        end(first)
        assert start(tmp_path, free_port()).url == first.url
        assert connection.get("kept") == b"yes"


def test_it_evicts_nothing_and_writes_every_change_down(servers: Servers) -> None:
    with redis.Redis.from_url(servers.redis.url) as connection:
        names = ("maxmemory", "maxmemory-policy", "appendonly", "save", "bind")
        settings = {name: connection.config_get(name)[name] for name in names}  # Redis 6 takes one at a time

    assert settings == {
        "maxmemory": str(128 << 20),
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "save": "",
        "bind": "127.0.0.1",
    }


def test_a_strangers_redis_on_the_port_is_not_taken_for_ours(start: Start, tmp_path: Path) -> None:
    stranger = start(tmp_path / "theirs", free_port())

    ours = start(tmp_path / "ours", stranger.port)

    assert ours.port > stranger.port
    with redis.Redis.from_url(ours.url) as connection:
        assert connection.info("server")["process_id"] == ours.pid


def test_a_busy_port_is_passed_over_and_the_new_one_kept(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        busy = stranger.getsockname()[1]
        first = start(tmp_path, busy)
        assert first.port > busy
        first.stop()

    assert start(tmp_path, busy).port == first.port


def test_starts_at_the_same_moment_get_a_port_each(tmp_path: Path) -> None:
    """Both find the port free; one is too late, and moves on."""
    code = (
        "import sys; from pathlib import Path; from devicehub.embedded.processes import start_redis as start; "
        "server = start(Path(sys.argv[1]), port=int(sys.argv[2])); print(server.port, flush=True); sys.stdin.read(); server.stop()"
    )
    port = str(free_port())
    starts = [
        subprocess.Popen(
            (sys.executable, "-c", code, tmp_path / name, port),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two", "three")
    ]
    ports = [each.stdout.readline() for each in starts if each.stdout]
    for each in starts:
        each.communicate()

    assert len(set(ports)) == len(starts)
    assert "" not in ports


def test_a_folder_whose_last_server_still_ends_is_waited_for(start: Start, tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    with held(tmp_path / "redis" / "lock") as lock:
        last = subprocess.Popen(("sleep", "0.3"), pass_fds=(lock.fileno(),))

    start(tmp_path, free_port())

    assert last.poll() == 0


def test_a_folder_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    start(tmp_path, free_port())

    with pytest.raises(FolderInUse, match="still works in"):
        held(tmp_path / "redis" / "lock", seconds=0)


def test_data_it_cannot_read_are_refused_with_where_to_look(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path, free_port())
    first.stop()
    for file in (tmp_path / "redis").rglob("*aof*"):
        if file.is_file():
            file.write_bytes(b"not ours\r\n")

    with pytest.raises(ServerFailed, match=r"^redis ended \(exit code 1\); see .*redis\.log\.$"):
        start(tmp_path, free_port())


@pytest.mark.parametrize("name", ["a folder with spaces", 'it\'s "quoted" \\ $HOME {x}', "größe"])
def test_any_name_of_a_folder_will_do(start: Start, tmp_path: Path, name: str) -> None:
    first = start(tmp_path / name, free_port())
    with redis.Redis.from_url(first.url) as connection:
        connection.set("kept", "yes")
        first.stop()
        start(tmp_path / name, free_port())
        assert connection.get("kept") == b"yes"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert any(entry.name.startswith("appendonly") for entry in (tmp_path / name / "redis").iterdir())


def test_a_port_lost_at_the_last_moment_is_told_from_a_failure(start: Start, tmp_path: Path) -> None:
    """Between the look at a port and the server's bind, a stranger may take it."""
    server = start(tmp_path, free_port())
    program = server.child.program
    server.stop()
    late = Child(program)

    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(PortLost), serving(late, server.port):
        pytest.fail("it serves a port that is not its own")

    assert not late.is_running()


def test_a_paused_server_can_be_stopped(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path, free_port())
    os.kill(server.pid, signal.SIGSTOP)

    server.stop()

    assert server.child.exit_code() == 0
