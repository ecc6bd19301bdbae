"""MongoDB of our own: a replica set of one that survives restarts, crashes and changes of port."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest
from pymongo.database import Database

from devicehub.embedded import binaries
from devicehub.embedded.children import Child, Program
from devicehub.embedded.errors import ServerFailed
from devicehub.embedded.processes import Server, start_mongod
from devicehub.embedded.servers import serving
from tests.conftest import Servers, free_port

Start = Callable[[Path, int], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a mongod on a folder, near a port; none outlives the test."""
    started: list[Server] = []

    def on(folder: Path, port: int) -> Server:
        started.append(start_mongod(folder, port=port))
        return started[-1]

    yield on
    for server in started:
        server.kill()


@contextlib.contextmanager
def database(server: Server) -> Iterator[Database[dict[str, Any]]]:
    with pymongo.MongoClient(server.url, w="majority", serverSelectionTimeoutMS=10_000) as client:
        yield client.get_default_database()


def pid_of(server: Server) -> int:
    """Who answers at the address."""
    with database(server) as db:
        return int(db.client.admin.command("serverStatus")["pid"])


def test_an_empty_folder_becomes_a_primary_on_a_small_disk(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path, free_port())

    with database(server) as db, db.client.start_session() as session:
        session.with_transaction(lambda s: db.devices.insert_one({}, session=s))
        assert db.name == "devicehub"
        assert db.devices.count_documents({}) == 1
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) < 40 << 20


def test_it_is_small_in_memory_and_yet_a_thousand_transactions_may_be_open(start: Start, tmp_path: Path) -> None:
    server = start(tmp_path, free_port())
    memory = psutil.Process(server.pid).memory_info()

    with database(server) as db, contextlib.ExitStack() as opened:
        db.create_collection("devices")  # or each of them makes it, for a thousand times what an insert costs
        for number in range(1000):
            session = opened.enter_context(db.client.start_session())
            session.start_transaction()
            db.devices.insert_one({"_id": number}, session=session)
        assert db.client.admin.command("serverStatus")["transactions"]["currentOpen"] == 1000
    assert memory.rss - memory.shared < 50 << 20


def test_a_transaction_that_nobody_ends_any_more_is_ended_soon(servers: Servers) -> None:
    with database(servers.mongod) as db:
        told = db.client.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
    assert told["transactionLifetimeLimitSeconds"] == 30


def test_data_and_address_survive_a_restart(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path, free_port())
    with database(first) as db:
        db.devices.insert_one({})
    first.stop()

    second = start(tmp_path, free_port())

    assert second.url == first.url
    with database(second) as db:
        assert db.devices.count_documents({}) == 1


def test_a_client_finds_it_again_after_a_crash_with_all_it_acknowledged(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path, free_port())
    with database(first) as db:
        db.devices.insert_many([{} for _ in range(500)])
        first.kill()
        start(tmp_path, free_port())
        assert db.devices.count_documents({}) == 500
        db.devices.insert_one({})


def test_a_strangers_mongod_on_the_port_is_not_taken_for_ours(start: Start, tmp_path: Path) -> None:
    stranger = start(tmp_path / "theirs", free_port())

    ours = start(tmp_path / "ours", stranger.port)

    assert ours.port > stranger.port
    assert pid_of(ours) == ours.pid
    assert pid_of(stranger) == stranger.pid


def test_a_busy_port_is_passed_over_and_the_new_one_kept(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        busy = stranger.getsockname()[1]
        first = start(tmp_path, busy)
        assert first.port > busy
        first.stop()

    assert start(tmp_path, busy).port == first.port


def test_a_changed_port_keeps_the_data_and_takes_writes(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path, free_port())
    with database(first) as db:
        db.devices.insert_many([{} for _ in range(500)])
    first.kill()  # unclean: what it acknowledged is in the oplog only

    # Silent: a member that asks it "are you me?" waits for long.
    with socket.create_server(("127.0.0.1", first.port)):
        second = start(tmp_path, free_port())

    assert second.port != first.port
    with database(second) as db:
        assert db.devices.count_documents({}) == 500
        db.devices.insert_one({})


def test_a_start_that_broke_off_in_a_move_is_mended(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start(tmp_path, free_port())
    with database(first) as db:
        db.devices.insert_one({})
    first.stop()
    with socket.create_server(("127.0.0.1", first.port)), monkeypatch.context() as broken:
        broken.setattr("devicehub.embedded.mongod._make_primary", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start(tmp_path, free_port())

    second = start(tmp_path, first.port)  # free again, but the replica set knows another one by now

    with database(second) as db:
        assert db.devices.count_documents({}) == 1
        db.devices.insert_one({})


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_start_that_broke_off_before_the_replica_set_is_finished(start: Start, tmp_path: Path) -> None:
    data, port = tmp_path / "mongod" / "data", free_port()
    data.mkdir(parents=True)
    mongod = binaries.find(binaries.MONGOD, tmp_path / "lib")
    command = (str(mongod.path), "--dbpath", str(data), "--port", str(port), "--nounixsocket")
    program = Program(name="mongod", command=command, environment=mongod.environment, log=tmp_path / "log")
    half_way = Child(program)
    with serving(half_way, port):
        half_way.stop()

    with database(start(tmp_path, port)) as db:
        db.devices.insert_one({})


def test_data_it_cannot_read_are_refused_with_where_to_look(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "mongod" / "data"
    data.mkdir(parents=True)
    (data / "storage.bson").write_bytes(b"not ours")

    with pytest.raises(ServerFailed, match=r"^mongod ended \(.+\); see .*mongod\.log\.$"):
        start(tmp_path, free_port())

    assert '"s":"F"' in (tmp_path / "mongod" / "mongod.log").read_text()
