"""The ground of every test: a real MongoDB and Redis for each parallel worker, emptied between tests."""

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pymongo
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.write_concern import WriteConcern

from devicehub import cli
from devicehub.app import create_app
from devicehub.core import clock as system_clock
from devicehub.core import config, events, leases, logging, migrations, mongo, queue, redis
from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.core.events import Event
from devicehub.embedded.processes import Server, start_mongod, start_redis
from tests import factories
from tests.factories import Account, make_account
from tests.nursery import ROOT, Born, Nursery

# The suite asks the same each time, so that it fails for what was changed; a campaign asks something else each time.
settings.register_profile("suite", derandomize=True, database=None, deadline=None)
if "FUZZ_EXAMPLES" not in os.environ:
    settings.load_profile("suite")

# Each client of httpx reads the certificates of all the world, 30 ms of it, unless it is told of a folder without any;
# and who waits for a server makes a client at every look. Nothing here asks for a name of the world's.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)
SECRETS = {
    "jwt_secret": "0123456789abcdefghijklmnopqrstuv-access",
    "jwt_refresh_secret": "0123456789abcdefghijklmnopqrstuv-refresh",
}
# The limits have tests of their own; everywhere else they would only be in the way.
NO_LIMITS = {
    f"{name}_rate_limit": "1000000 per minute"
    for name in ("auth", "refresh", "device", "ingest", "analytics", "export", "invitation", "webhook", "general")
} | {"sockets_per_user": "1000", "streams_per_user": "1000"}


# All that is imported, and every test that is found, stays to the end: whoever collects garbage need not look through it.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case by the beginning of a long value: names go from process to process, and into the environment."""
    return f"{val[:40]!a}..." if isinstance(val, str | bytes) and len(val) > 80 else None


def wait_until(condition: Callable[[], Any], seconds: float = 10, what: str = "") -> Any:
    """What `condition` gives once it is true; fails the test when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Servers:
    """The servers of this worker; a test that stops one starts it again on the same folder and port.

    `losses` counts how often those who were connected to Redis may have lost it: see tests/realtime/conftest.py.
    """

    folder: Path
    mongod: Server
    redis: Server
    losses: int = 0

    def restart_redis(self) -> None:
        self.redis = start_redis(self.folder / "redis", port=_port(self.redis.url))
        self.losses += 1

    @contextmanager
    def hung_redis(self) -> Iterator[None]:
        """Run a block while Redis is there and does not answer."""
        os.kill(self.redis.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.redis.pid, signal.SIGCONT)
            self.losses += 1

    def cut_lines(self) -> None:
        """Cut off whoever listens to a channel of Redis; they come back."""
        redis.current().client.client_kill_filter(_type="pubsub")
        self.losses += 1

    def restart_mongod(self) -> None:
        """Start it again; after a kill its collections do not know how many documents they hold until validated.

        One that holds none goes on believing what it does, unless it holds one while it is validated.
        """
        self.mongod = start_mongod(self.folder / "mongo", port=_port(self.mongod.url))
        with MongoClient[dict[str, Any]](self.mongod.url) as client:
            db = client.get_default_database()
            for name in db.list_collection_names():
                astray = db[name].estimated_document_count() > 0 and db[name].find_one() is None
                lent = [db[name].insert_one({}).inserted_id] if astray else []
                db.validate_collection(name)
                db[name].delete_many({"_id": {"$in": lent}})


def _port(url: str) -> int:
    return int(url.split("127.0.0.1:")[1].split("/")[0])


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    # A disk would only be waited for; what a server that is killed has written is still there without one.
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a name that nobody knows
    is_roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    with TemporaryDirectory(prefix="devicehub-tests-", dir=memory if is_roomy else None) as made:
        folder = Path(made)
        mongod = start_mongod(folder / "mongo", port=free_port())
        started = Servers(folder, mongod, start_redis(folder / "redis", port=free_port()))
        yield started
        started.redis.stop()
        started.mongod.stop()


@pytest.fixture(scope="session")
def settings(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return config.load(
        _env_file=None,
        app_env="development",
        mongodb_uri=servers.mongod.url,
        redis_url=servers.redis.url,
        devicehub_var=tmp_path_factory.mktemp("var"),
        bcrypt_rounds=4,
        log_level="WARNING",
        slow_request_ms=60_000,  # on a busy machine any request may be slow, and its line another
        **SECRETS,
        **NO_LIMITS,
    )


@pytest.fixture(scope="session")
def _application(settings: Settings) -> Flask:
    app = create_app(settings)
    migrations.migrate(settings)
    factories.app = app
    return app


@pytest.fixture
def app(_application: Flask) -> Flask:
    """The application, on empty databases."""
    empty()
    return _application


def empty() -> None:
    """Empty every collection (their indexes stay) and Redis."""
    db = mongo.database()
    with pymongo.timeout(60):  # a busy machine is no outage
        for name in (names := filled(db)):
            # Once the last is safe, those before it are.
            concern = None if name == names[-1] else WriteConcern(w=1)
            db.get_collection(name, write_concern=concern).delete_many({})
    wait_until(redis.current().is_alive, what="Redis to be believed back")
    redis.current().client.flushdb()
    queue.connect(config.current())  # it may still be taking a rest from an outage of the test before


def filled(db: Database[dict[str, Any]]) -> list[str]:
    """The collections a test has left something in; one question for all of them, for most are empty."""

    def look(name: str) -> dict[str, Any]:
        first = [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}]
        return {"$unionWith": {"coll": name, "pipeline": first}}

    kept = (migrations.LEDGER, "leases")
    there = db.list_collection_names(filter={"name": {"$not": {"$regex": "^system[.]"}}})
    looks = [look(name) for name in there if name not in kept]
    return [found["name"] for found in db.aggregate([{"$documents": []}, *looks])]


@contextmanager
def holding(duty: str, holder: str) -> Iterator[None]:
    """Take a duty away from whoever has it: in this block nobody else does it."""
    db, until = mongo.database(), system_clock.now() + timedelta(hours=1)
    db[leases.COLLECTION].update_one({"_id": duty}, {"$set": {"holder": holder, "until": until}}, upsert=True)
    yield
    leases.release(db, duty, holder)


@contextmanager
def profiling() -> Iterator[Collection[dict[str, Any]]]:
    """Have MongoDB write down every operation of this block."""
    db = mongo.database()
    # What was under way when the last such block ended has been written down after it.
    db.drop_collection("system.profile")
    # Of its own accord it keeps the last few only.
    profile = db.create_collection("system.profile", capped=True, size=64 << 20)
    db.command("profile", 2)
    try:
        yield profile
    finally:
        db.command("profile", 0)
        db.drop_collection("system.profile")


@pytest.fixture
def using(app: Flask) -> Callable[..., AbstractContextManager[None]]:
    """Run a block under other settings: `with using(general_rate_limit="2 per minute"):`."""

    @contextmanager
    def changed(**changes: Any) -> Iterator[None]:
        before = config.current()
        config.use(before.model_copy(update=changes))
        try:
            yield
        finally:
            config.use(before)

    return changed


@pytest.fixture
def clock() -> Iterator[Callable[[float], None]]:
    """Move the clock: `clock(11)` makes it 11 seconds later for the rest of the test."""
    moves = []

    def move(seconds: float) -> None:
        moves.append(system_clock.moved(timedelta(seconds=seconds)))
        moves[-1].__enter__()

    yield move
    for moved in reversed(moves):
        moved.__exit__(None, None, None)


@pytest.fixture
def told(app: Flask) -> Iterator[list[Event]]:
    """Every event that is emitted, in order."""
    heard: list[Event] = []
    before = list(events._sinks)
    events.attach(*before, heard.append)
    yield heard
    events.attach(*before)


@pytest.fixture
def logged(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """What the process has logged since the test began; of one event if it is named: `logged("request")`."""
    path = tmp_path / "log"
    logging.setup(settings.model_copy(update={"log_file": path, "log_level": "INFO"}))

    def read(event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    yield read
    logging.setup(settings)


@pytest.fixture
def account(app: Flask, request: pytest.FixtureRequest) -> Account | None:
    """Whom `@pytest.mark.actor(role=...)` names; nobody without it."""
    marker = request.node.get_closest_marker("actor")
    return make_account(**marker.kwargs) if marker else None


@pytest.fixture
def actor(account: Account) -> Actor:
    return account.actor


@pytest.fixture
def client(app: Flask, account: Account | None) -> FlaskClient:
    """A client of the whole application; anonymous unless the test is marked with an actor."""
    client = app.test_client()
    if account is not None:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {account.access_token}"
    return client


@pytest.fixture
def client_of(app: Flask) -> Callable[[Account], FlaskClient]:
    """A client that signs its requests as the given account."""

    def make(account: Account) -> FlaskClient:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {account.access_token}"
        return client

    return make


@pytest.fixture
def typed(app: Flask, settings: Settings) -> Callable[..., Result]:
    """Type a command (`typed("audit", "verify")`) and what it asks for; the application is the test's own."""

    def run(*arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(cli.devicehub, arguments, input=answer, env=named(settings), obj=lambda _: app)

    return run


def named(settings: Settings) -> dict[str, str]:
    """Settings as an environment."""
    fields = settings.model_dump(mode="json", exclude_none=True, exclude={"allowed_origins", "log_file"})
    return {name.upper(): str(value) for name, value in fields.items()}


@dataclass
class LiveServer:
    """A real api process: gunicorn with its gevent worker, on the loopback."""

    url: str
    process: subprocess.Popen[bytes] | Born

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="session")
def server_nursery() -> Iterator[Nursery]:
    """Where api processes come from, but for that of the session."""
    with closing(Nursery("server")) as nursery:
        yield nursery


@pytest.fixture(scope="session")
def worker_nursery() -> Iterator[Nursery]:
    """Where workers come from."""
    with closing(Nursery("worker")) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def serve(settings: Settings, _application: Flask, server_nursery: Nursery) -> Iterator[Callable[..., LiveServer]]:
    """Start api processes on the same databases: `serve(GENERAL_RATE_LIMIT="5")`; they end with the module.

    Each has its duties, day and night: what is left running costs whoever comes after.
    """
    started: list[LiveServer] = []

    def start(**environment: str) -> LiveServer:
        server = start_server(settings, environment, server_nursery.bear)
        started.append(server)
        return server

    yield start
    for server in started:  # all at once: each takes a moment to let its clients go
        if server.process.poll() is None:
            server.process.terminate()
    for server in started:
        server.process.wait(30)


@pytest.fixture(scope="session")
def live_server(settings: Settings, _application: Flask) -> Iterator[LiveServer]:
    """One api process for the whole session."""
    server = start_server(settings, {})
    yield server
    server.stop()


def launch(*program: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`python -m` with this program and its arguments."""
    return subprocess.Popen([sys.executable, "-m", *program], cwd=ROOT, env=environment)


def start_server(
    settings: Settings, environment: dict[str, str], start: Callable[..., subprocess.Popen[bytes] | Born] = launch
) -> LiveServer:
    """Start an api process on the databases of `settings` and wait until it is ready."""
    port = free_port()
    env = {**os.environ, **named(settings), "PORT": str(port)}
    process = start("gunicorn", "-c", "devicehub/web/gunicorn.py", "wsgi:app", environment=env | environment)
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None, "the server ended by itself"
        try:
            return httpx.get(f"{url}/health/ready", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_ready, 30, "the server to be ready")
    return LiveServer(url, process)
