"""As production runs it: the api and the live connections in processes of their own, behind a proxy."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from flask import Flask

from devicehub.core.config import Settings
from tests.conftest import ROOT, LiveServer, start_server
from tests.factories import make_account, make_device

# Its two processes are started once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("deployment")
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture(scope="module")
def api(settings: Settings, _application: Flask) -> Iterator[LiveServer]:
    server = start_server(settings, {"DEVICEHUB_ROLE": "api"})
    yield server
    server.stop()


@pytest.fixture(scope="module")
def realtime(settings: Settings, _application: Flask) -> Iterator[LiveServer]:
    server = start_server(settings, {"DEVICEHUB_ROLE": "realtime", "TRUSTED_PROXIES": "1"})
    yield server
    server.stop()


@pytest.mark.parametrize("path", ["/api/sse/events", "/api/v1/sse/events", HANDSHAKE])
def test_the_api_leaves_live_connections_to_the_other(api: LiveServer, path: str) -> None:
    answer = httpx.get(api.url + path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/api/devices", "/api/users/profile", "/openapi.json", "/docs"])
def test_the_realtime_process_leaves_the_api_to_the_other(realtime: LiveServer, path: str) -> None:
    answer = httpx.get(realtime.url + path)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_both_tell_how_they_are(api: LiveServer, realtime: LiveServer) -> None:
    for server in (api, realtime):
        assert httpx.get(f"{server.url}/health/ready").json() == {"status": "ok"}


def test_the_api_documents_live_connections_too(api: LiveServer) -> None:
    assert "/api/sse/events" in httpx.get(f"{api.url}/openapi.json").json()["paths"]


def test_what_one_is_told_the_other_tells(app: object, api: LiveServer, realtime: LiveServer) -> None:
    account = make_account()
    device = make_device(account.actor)
    with httpx.stream("GET", f"{realtime.url}/api/sse/events", headers=account.headers) as answer:
        events = (line for line in answer.iter_lines() if line.startswith("event:"))
        assert next(events) == "event: connected"

        beat = httpx.post(f"{api.url}/api/devices/{device['id']}/heartbeat", headers=account.headers)

        assert beat.status_code == 200
        assert next(line for line in events if line == "event: device-heartbeat")


@pytest.mark.parametrize(("scheme", "status"), [("https", 200), ("http", 400)])
def test_a_page_of_the_proxys_origin_may_connect(realtime: LiveServer, scheme: str, status: int) -> None:
    """The proxy ends TLS, so only it knows under which scheme the page was loaded."""
    told = {"Host": "hub.example", "X-Forwarded-Proto": "https", "Origin": f"{scheme}://hub.example"}
    assert httpx.get(realtime.url + HANDSHAKE, headers=told).status_code == status


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"JWT_SECRET": "short"}, "JWT_SECRET is shorter than 32 bytes"),
        ({"WEB_CONCURRENCY": "2", "DEVICEHUB_ROLE": "realtime"}, "WEB_CONCURRENCY must be 1 unless"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(wrong: dict[str, str], sentence: str) -> None:
    """And once: not by one worker after the other, for ever."""
    sound = {
        "APP_ENV": "production",
        "MONGODB_URI": "mongodb://127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "JWT_SECRET": "zQ7vK2mX9pL4wR8tB6nH3jF5dS1gY0cA",
        "JWT_REFRESH_SECRET": "Hn4bT8xW2qE6rM0vJ7kP3sD9fG5lZ1uC",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "devicehub/web/gunicorn.py", "wsgi:app"]
    done = subprocess.run(command, cwd=ROOT, env=sound | wrong, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
