"""MongoDB or Redis away, stopped, hung or killed: what works goes on, what does not says so, and all heals itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from bson import ObjectId

from devicehub.auth import resets
from devicehub.core import redis
from devicehub.core.actor import SYSTEM
from devicehub.core.config import Settings
from devicehub.devices.models import Device
from devicehub.jobs import service as jobs
from tests.conftest import ROOT, LiveServer, Servers, free_port, wait_until
from tests.factories import MAKE, PASSWORD, Account, log_in, make_account, make_code, make_device
from tests.web.operations import Operation, operations
from tests.web.refusals import refused
from tests.web.things import things_of

PATIENCE = 10.0  # a 503 is promised within 3 s; whoever waits for time-outs of PyMongo's own waits 12 s or 30 s
PROFILE = "/api/users/profile"

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.xdist_group("outage")]
Outage = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def http(live_server: LiveServer) -> Iterator[httpx.Client]:
    """A client of a real process, that waits no longer than it was promised."""
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=live_server.url, timeout=PATIENCE, limits=limits) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200, what="the server to be ready")
        yield client


def redis_is_connected(http: httpx.Client) -> bool:
    return bool(http.get("/health").json()["dependencies"]["redis"] == "connected")


@pytest.fixture(params=["stopped", "hung"])
def without_redis(request: pytest.FixtureRequest, servers: Servers, http: httpx.Client) -> Outage:
    """Run a block without Redis: it is gone, or there and does not answer."""

    @contextmanager
    def stopped() -> Iterator[None]:
        servers.redis.stop()
        try:
            yield
        finally:
            servers.restart_redis()

    @contextmanager
    def outage() -> Iterator[None]:
        with stopped() if request.param == "stopped" else servers.hung_redis():
            yield
        wait_until(lambda: redis_is_connected(http))

    return outage


@pytest.fixture(params=["stopped", "hung"])
def without_mongodb(request: pytest.FixtureRequest, servers: Servers, http: httpx.Client) -> Outage:
    """Run a block without MongoDB: it is gone, or there and does not answer."""

    @contextmanager
    def outage() -> Iterator[None]:
        if request.param == "stopped":
            servers.mongod.stop()
        else:
            os.kill(servers.mongod.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if request.param == "stopped":
                servers.restart_mongod()
            else:
                os.kill(servers.mongod.pid, signal.SIGCONT)
        wait_until(lambda: http.get("/health/ready").status_code == 200)

    return outage


def at_once(asks: list[Callable[[], Any]]) -> list[Any]:
    """What each gives, all of them called at the same time."""
    with ThreadPoolExecutor(len(asks)) as callers:
        return [answer.result() for answer in [callers.submit(ask) for ask in asks]]


KEPT_IN_REDIS = {"POST /api/sse/ticket", "POST /api/auth/password/verify-otp"}


def listed() -> list[Operation]:
    found = [operation for operation in operations() if not operation.is_stream]
    assert len(found) >= 15
    return found


def prepared(operation: Operation, account: Account, ids: dict[str, str]) -> dict[str, Any]:
    """All that an operation takes to succeed, besides who asks."""
    real: dict[str, dict[str, Any]] = {
        "/api/auth/signup": {"email": f"new-{account.email}"},
        "/api/auth/login": {"email": account.email, "password": PASSWORD},
        "/api/auth/refresh": {"refreshToken": account.refresh_token},
        "/api/auth/switch-organization": {"organizationId": account.actor.organization_id},
        "/api/auth/revoke": {"token": account.refresh_token},
        "/api/auth/password/change": {"currentPassword": PASSWORD},
        "/api/auth/email/change": {"email": f"new-{account.email}"},
        "/api/auth/email/confirm": {"token": ids.get("email_token", f"dhe_{account.actor.user_id}_unknown")},
        "/api/invitations/accept": {"token": ids.get("invitation_token")},
    }
    if operation.path == "/api/auth/password/reset":
        real[operation.path] = {"resetToken": resets.verify(*make_code(account.email))}
    if operation.path == "/api/admin/jobs/{job_id}/retry" and "job_id" in ids:
        jobs.cancel(SYSTEM, ids["job_id"])
    body = {"json": operation.example | real.get(operation.path, {})} if operation.takes_body else {}
    if operation.takes_lines:
        body = {"content": operation.lines, "headers": {"Content-Type": "application/x-ndjson"}}
    query = f"?devices={ids['devices']}" if "devices" in ids else ""
    return {"method": operation.method, "url": operation.address(ids) + query, **body}


def perform(http: httpx.Client, account: Account, how: dict[str, Any]) -> httpx.Response:
    """Do what an operation is for, with what was prepared for it."""
    headers = account.headers | {"User-Agent": "tests"} | how.get("headers", {})
    return http.request(**how | {"headers": headers})


def ready(operation: Operation, account: Account) -> tuple[Operation, Account, dict[str, Any]]:
    """An operation, who asks for it, and all that it takes, made for it."""
    tokens = {"/api/auth/email/confirm": "email_token", "/api/invitations/accept": "invitation_token"}
    ids = things_of(account, operation)
    if operation.path in tokens:
        name = tokens[operation.path]
        ids[name] = MAKE[name](account, ids)
    if any(one["name"] == "devices" for one in operation.query):
        ids["devices"] = ",".join(make_device(account.actor)["id"] for _ in range(2))
    return operation, account, prepared(operation, account, ids)


def test_without_redis_everything_works_uncached(http: httpx.Client, without_redis: Outage) -> None:
    reader = make_account(platform_admin=True)  # who only reads can read on; each change is somebody else's
    waiting_last = sorted(
        listed(), key=lambda one: one.path.endswith("/cancel")
    )  # or others take their turn first
    asked = [
        ready(operation, reader if operation.method == "GET" else make_account(platform_admin=True))
        for operation in waiting_last
    ]
    with without_redis():
        for operation, account, how in asked:
            answer = perform(http, account, how)
            if str(operation) in KEPT_IN_REDIS:
                refused(answer, 503, "SERVICE_UNAVAILABLE")
                continue
            assert 200 <= answer.status_code < 300, f"{operation}: {answer.status_code} {answer.text}"
            assert answer.headers.get("X-Cache", "BYPASS") == "BYPASS", operation
        health = http.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert health.json()["dependencies"]["redis"] == "disconnected"
        assert http.get("/health/ready").status_code == http.get("/health/live").status_code == 200
    ada = make_account()
    seen = [http.get(PROFILE, headers=ada.headers).headers["X-Cache"] for _ in range(2)]
    assert seen == ["MISS", "HIT"]


def test_what_ends_without_redis_has_ended_when_it_is_back(http: httpx.Client, without_redis: Outage) -> None:
    ada, bob, eve, other = (make_account() for _ in range(4))
    elsewhere = log_in(other.email)
    gone = (ada, bob, eve, elsewhere)
    for account in gone:
        assert http.get(PROFILE, headers=account.headers).status_code == 200  # remembered for half a minute

    def ask(account: Account, method: str, path: str, **body: Any) -> int:
        return http.request(method, f"/api/auth/{path}", headers=account.headers, **body).status_code

    with without_redis():
        assert ask(ada, "POST", "logout") == 204
        assert ask(bob, "POST", "revoke", json={"token": bob.access_token}) == 204
        assert ask(eve, "POST", "logout-all") == 200
        assert ask(other, "DELETE", f"sessions/{elsewhere.actor.session_id}") == 204
        for account in gone:
            refused(http.get(PROFILE, headers=account.headers), 401, "TOKEN_REVOKED")
    for account in gone:
        refused(http.get(PROFILE, headers=account.headers), 401, "TOKEN_REVOKED")
    for account in (ada, eve, elsewhere):
        answer = http.post("/api/auth/refresh", json={"refreshToken": account.refresh_token})
        refused(answer, 401, "INVALID_REFRESH_TOKEN")


def test_whoever_guesses_is_locked_out_without_redis_too(http: httpx.Client, without_redis: Outage) -> None:
    body = {"email": make_account().email, "password": "wrong horse battery"}
    with without_redis():
        told = [http.post("/api/auth/login", json=body).json()["code"] for _ in range(6)]
    assert told == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]


def test_without_mongodb_everything_says_so_and_nobody_is_turned_away_as_a_stranger(
    http: httpx.Client, without_mongodb: Outage
) -> None:
    known, unknown = make_account(), make_account()
    device = make_device(known.actor)
    ids = {
        "device_id": device["id"],
        "organization_id": unknown.actor.organization_id,
        "session_id": str(unknown.actor.session_id),
    }
    asked = [prepared(operation, unknown, ids) for operation in listed()]
    session, user = f"sess:{unknown.actor.session_id}", f"user:{unknown.actor.user_id}"
    assert redis.current().client.delete(session, user) == 2  # whom only MongoDB knows
    remembered = [PROFILE, "/api/devices", f"/api/devices/{device['id']}"]
    for path in remembered * 2:
        hit = http.get(path, headers=known.headers)
    assert hit.headers["X-Cache"] == "HIT"
    with without_mongodb():
        for answer in at_once([lambda path=path: http.get(path, headers=known.headers) for path in remembered]):  # type: ignore[misc]
            assert (answer.status_code, answer.headers["X-Cache"]) == (200, "HIT")
        probes = ["/health", "/health/ready", "/health/live"]
        asks: list[Callable[[], Any]] = [
            lambda path=path: http.get(path, headers=unknown.headers) for path in probes
        ]  # type: ignore[misc]
        asks += [lambda how=how: perform(http, unknown, how) for how in asked]  # type: ignore[misc]
        asks += [lambda: http.patch(PROFILE, json={"name": "Ada Byron"}, headers=known.headers)]
        health, ready, live, *answers = at_once(asks)
        assert (health.status_code, health.json()["status"], live.status_code) == (503, "unhealthy", 200)
        assert ready.status_code == 503
        assert health.json()["dependencies"] == {
            "mongodb": "disconnected",
            "redis": "connected",
            "queue": "inactive",
        }
        for operation, answer in zip([*listed(), "a change of what is remembered"], answers, strict=True):
            refused(answer, 503, "DATABASE_UNAVAILABLE")
            assert answer.headers["Retry-After"] == "2", operation
            assert isinstance(operation, str) or operation.documents(503, "DATABASE_UNAVAILABLE"), operation
    assert http.patch(PROFILE, json={"name": "Ada Byron"}, headers=unknown.headers).status_code == 200
    assert http.get(f"/api/devices/{device['id']}", headers=known.headers).json() == device


def test_nothing_acknowledged_is_lost_when_mongodb_is_killed(http: httpx.Client, servers: Servers) -> None:
    ada = make_account()
    acknowledged: list[str] = []
    killed = False

    def create(number: int) -> int:
        nonlocal killed
        answer = http.post(
            "/api/devices", json={"name": f"Device {number}", "type": "sensor"}, headers=ada.headers
        )
        if answer.status_code == 201:
            acknowledged.append(answer.json()["id"])
        if len(acknowledged) >= 10 and not killed:
            killed = True
            servers.mongod.kill()
        return answer.status_code

    try:
        with ThreadPoolExecutor(8) as callers:
            told = list(callers.map(create, range(18)))
    finally:
        servers.restart_mongod()
    assert set(told) == {201, 503}
    wait_until(lambda: http.get("/health/ready").status_code == 200)
    wanted = [ObjectId(device_id) for device_id in acknowledged]
    assert Device.objects(id__in=wanted).count() == len(acknowledged) >= 10
    listed_now = http.get("/api/devices?limit=100", headers=ada.headers).json()["pagination"]["total"]
    assert listed_now == Device.objects(owner_id=ObjectId(ada.actor.user_id)).count()


@pytest.fixture
def beginner(settings: Settings, tmp_path: Path) -> Iterator[Callable[[], httpx.Client]]:
    """Start a process without waiting for anything; gives a client of it."""
    started: list[tuple[subprocess.Popen[bytes], httpx.Client]] = []

    def start() -> httpx.Client:
        port = str(free_port())
        named = settings.model_dump(mode="json", exclude_none=True, exclude={"allowed_origins", "log_file"})
        env = os.environ | {name.upper(): str(value) for name, value in named.items()}
        command = [sys.executable, "-m", "gunicorn", "-c", "devicehub/web/gunicorn.py", "wsgi:app"]
        process = subprocess.Popen(command, cwd=ROOT, env=env | {"PORT": port, "LOG_FILE": str(tmp_path / "log")})
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE)
        started.append((process, client))
        return client

    yield start
    for process, client in started:
        client.close()
        process.terminate()
        process.wait(10)


def test_a_process_that_starts_alone_stays_and_is_ready_when_the_others_come(
    beginner: Callable[[], httpx.Client], servers: Servers, tmp_path: Path
) -> None:
    ada = make_account()

    def is_live() -> bool:
        try:
            return process.get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    servers.mongod.stop()
    servers.redis.stop()
    try:
        process = beginner()
        wait_until(is_live, 20)
        asks = [lambda: process.get("/health"), lambda: process.get("/health/ready"),
                lambda: process.get(PROFILE, headers=ada.headers)]  # fmt: skip
        health, ready, profile = at_once(asks)
        assert (health.status_code, ready.status_code) == (503, 503)
        assert set(health.json()["dependencies"].values()) == {"disconnected", "inactive"}
        refused(profile, 503, "DATABASE_UNAVAILABLE")
    finally:
        servers.restart_redis()
        servers.restart_mongod()
    wait_until(lambda: process.get("/health/ready").status_code == 200)
    assert process.get(PROFILE, headers=ada.headers).status_code == 200
    said = [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()]
    assert said.count("mongodb.away_at_start") == 1
