"""MongoDB for a first run and for the tests: a replica set of one, on the loopback, small on disk and in RAM."""

from pathlib import Path

from devicehub.embedded import binaries, ports, servers
from devicehub.embedded.binaries import Binary
from devicehub.embedded.children import Child, Program, wait_until
from devicehub.embedded.servers import Server
from devicehub.embedded.wire import CommandFailed, command

REPLICA_SET = "devicehub"
# An empty folder takes 304 MB by default and 13 MB so; and nothing is written outside of it.
# WiredTiger writes zeros over a place for each session that there may ever be, 38 MB for its 33 000. Who asks for
# one too many ends mongod, so there are many times what a laptop needs: one for each operation and transaction.
OPTIONS = (
    *("--bind_ip", ports.LOOPBACK),
    *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=8MB),session_max=2000"),
    *("--wiredTigerCacheSizeGB", "0.25"),
    *("--oplogSize", "64"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    # What somebody wrote who died in one keeps others from writing the same for so long, or half as long again.
    *("--setParameter", "transactionLifetimeLimitSeconds=30"),
    "--nounixsocket",
    "--quiet",
)


def start_mongod(folder: Path, *, port: int = 27017) -> Server:
    """Start MongoDB on what `folder` holds and wait until it is a primary, so that it takes writes.

    It listens on the port it had before, else on `port`, or on the next free one after that.
    """
    home = servers.home(folder, "mongod")
    (home / "data").mkdir(exist_ok=True)
    binary = binaries.find(binaries.MONGOD, folder / "lib")
    port, child = servers.start_near(port, home / "port", lambda free: _start(binary, home, free))
    url = f"mongodb://{ports.LOOPBACK}:{port}/devicehub?replicaSet={REPLICA_SET}"
    return Server("mongod", url, port, child)


def _start(binary: Binary, home: Path, port: int) -> Child:
    note = home / "port"
    initiated = (home / "data" / "WiredTiger").exists()
    if initiated and ports.remembered(note) != port:
        note.unlink(missing_ok=True)  # written again once the replica set is sure to know the port
        initiated = _move(binary, home, port)
    child = _child(binary, home, port, "--replSet", REPLICA_SET)
    with servers.serving(child, port):
        try:
            _make_primary(port, initiate=not initiated)
        except CommandFailed as error:
            raise servers.failed(child, "does not become a primary") from error
    return child


def _child(binary: Binary, home: Path, port: int, *options: str) -> Child:
    where = ("--dbpath", str(home / "data"), "--port", str(port))
    program = Program(
        name="mongod",
        command=(str(binary.path), *where, *OPTIONS, *options),
        environment=binary.environment,
        log=home / "mongod.log",
        lock=home / "lock",
    )
    return Child(program)


def _move(binary: Binary, home: Path, port: int) -> bool:
    """Tell the replica set that its member has another port now; whether there is a replica set at all.

    A member that wakes up on a new port asks whoever has the old one "are you me?", and a stranger may leave it
    waiting; nor does it take writes. So mongod runs alone once, where its configuration is a document like any
    other.
    """
    child = _child(binary, home, port)
    here = {"q": {"_id": REPLICA_SET}, "u": {"$set": {"members.0.host": f"{ports.LOOPBACK}:{port}"}}}
    with servers.serving(child, port):
        try:
            found = command(port, {"update": "system.replset", "updates": [here]}, database="local")
        except CommandFailed as error:
            raise servers.failed(child, "cannot be moved to another port") from error
    child.stop()
    return bool(found["n"])


def _make_primary(port: int, *, initiate: bool) -> None:
    if initiate:
        member = {"_id": 0, "host": f"{ports.LOOPBACK}:{port}"}
        command(port, {"replSetInitiate": {"_id": REPLICA_SET, "members": [member]}})
    if not wait_until(lambda: bool(command(port, {"hello": 1})["isWritablePrimary"]), servers.READY_S):
        raise CommandFailed("it was not elected")
