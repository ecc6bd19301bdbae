"""Around every request: its id, its time, its line in the log, its headers, its version, and who may read it."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from tests.conftest import LiveServer
from tests.factories import Account, bearing, make_account, make_api_key, make_device, make_device_key

ORIGIN = "https://app.example.org"
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
EVERY_KIND = [
    "/api/users/profile",
    "/api/nowhere",
    "/nowhere",
    "/health",
    "/openapi.json",
    "/docs",
    "/api/auth/login",
]

Logged = Callable[..., list[dict[str, Any]]]

# Its servers are started once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("hooks")


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "api.log"


@pytest.fixture(scope="module")
def behind_proxy(serve: Callable[..., LiveServer], log_file: Path) -> LiveServer:
    """A process behind one proxy, that lets the pages of one origin in."""
    return serve(TRUSTED_PROXIES="1", ALLOWED_ORIGINS=ORIGIN, LOG_FILE=str(log_file), LOG_LEVEL="INFO")


@pytest.mark.parametrize("sent", ["a", "01J9-abc_DEF.7", "x" * 128])
def test_a_request_keeps_the_id_it_comes_with(client: FlaskClient, sent: str) -> None:
    assert client.get("/health/live", headers={"X-Request-ID": sent}).headers["X-Request-ID"] == sent


@pytest.mark.parametrize("odd", ["", "x" * 129, "two words", "a/b", "<script>", "é", "a,b", "a\tb"])
def test_an_odd_id_is_replaced(client: FlaskClient, odd: str) -> None:
    made = client.get("/health/live", headers={"X-Request-ID": odd}).headers["X-Request-ID"]
    assert made != odd and re.fullmatch(r"[A-Za-z0-9._-]{1,128}", made)


def test_a_request_without_an_id_is_given_one_of_its_own(client: FlaskClient) -> None:
    made = {client.get("/health/live").headers["X-Request-ID"] for _ in range(10)}
    assert len(made) == 10


@pytest.mark.parametrize("path", EVERY_KIND)
@pytest.mark.parametrize("method", ["get", "head", "options", "post"])
def test_every_answer_carries_id_time_and_the_headers_of_safety(
    client: FlaskClient, method: str, path: str
) -> None:
    answer = getattr(client, method)(path)
    headers = answer.headers
    assert headers["X-Request-ID"]
    assert re.fullmatch(r"\d+\.\dms", headers["X-Response-Time"])
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "camera=()" in headers["Permissions-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_no_answer_of_the_api_is_kept_by_a_cache_that_others_share(client: FlaskClient) -> None:
    for path in ("/api/users/profile", "/api/devices", "/api/nowhere"):
        assert "private" in client.get(path).headers["Cache-Control"], path


@pytest.mark.actor()
def test_the_version_may_be_named(client: FlaskClient, account: Account) -> None:
    device = make_device(account.actor)
    for path in ("users/profile", "devices", f"devices/{device['id']}", f"devices/{UNKNOWN}"):
        plain, versioned = client.get(f"/api/{path}"), client.get(f"/api/v1/{path}")
        assert plain.status_code == versioned.status_code
        if plain.status_code == 200:
            assert plain.json == versioned.json
    assert client.post("/api/v1/devices", json={"name": "Two", "type": "sensor"}).status_code == 201


@pytest.mark.parametrize(
    "path", ["/api/v2/users/profile", "/api/v1", "/api/v1/v1/users/profile", "/v1/users/profile"]
)
def test_there_is_no_other_version(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.actor()
def test_the_log_line_of_a_request_tells_who_asked_what_and_how_it_went(
    client: FlaskClient, account: Account, logged: Logged
) -> None:
    answer = client.get(f"/api/devices/{UNKNOWN}?fields=1", headers={"X-Request-ID": "abc"})
    [line] = logged("request")
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "devicehub.access",
        "request_id": "abc",
        "method": "GET",
        "route": "/api/devices/<id:device_id>",
        "path": f"/api/devices/{UNKNOWN}",
        "query": ["fields"],
        "status": answer.status_code,
        "error": answer.json["code"],
        "ip": "127.0.0.1",
        "user_id": account.actor.user_id,
        "organization_id": account.actor.organization_id,
    }


def test_a_strangers_line_names_nobody(client: FlaskClient, logged: Logged) -> None:
    client.get("/api/users/profile")
    [line] = logged("request")
    assert "user_id" not in line and line["error"] == "AUTHENTICATION_REQUIRED"


def test_probes_that_all_is_well_with_are_not_worth_a_line(client: FlaskClient, logged: Logged) -> None:
    client.get("/health/live")
    assert logged("request") == []


def test_a_slow_request_is_a_warning(client: FlaskClient, using: Any, logged: Logged) -> None:
    client.get("/health/live")
    assert logged("request.slow") == []
    with using(slow_request_ms=0):
        client.get("/health/live")
    [line] = logged("request.slow")
    assert line["level"] == "warning" and line["path"] == "/health/live"


@pytest.mark.actor()
def test_nothing_secret_of_a_request_reaches_the_log(
    client: FlaskClient, account: Account, logged: Logged
) -> None:
    secrets = {"password": "hunter2hunter2", "refreshToken": account.refresh_token}
    client.post(
        "/api/auth/login?token=hunter2hunter2&apiKey=hunter2hunter2", json={"email": "ada@example.com"} | secrets
    )
    client.post("/api/auth/refresh", json=secrets, headers={"Cookie": "dh_refresh=hunter2hunter2"})
    client.get("/api/users/profile?email=hunter2hunter2")
    written = json.dumps(logged())
    assert "hunter2" not in written
    assert account.refresh_token not in written and account.access_token not in written
    assert '["apiKey", "token"]' in written


@pytest.mark.parametrize("forged", ["%0A", "%0D%0A", "%E2%80%A8", "%1B[2J"])
def test_a_forged_line_stays_within_its_own(client: FlaskClient, logged: Logged, forged: str) -> None:
    line = '{"event":"request","user_id":"admin"}'
    client.get(f"/api/{forged}{line}?{forged}{line}=1", headers={"User-Agent": line, "X-Request-ID": line})
    [written] = logged()
    assert written["status"] == 404 and "user_id" not in written


def test_a_page_of_an_origin_we_know_may_read_and_send(behind_proxy: LiveServer) -> None:
    ada = make_account()
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
    }
    preflight = httpx.options(f"{behind_proxy.url}/api/v1/users/profile", headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    assert preflight.headers["Access-Control-Allow-Credentials"] == "true"
    for headers, status in ((ada.headers, 200), ({}, 401)):
        answer = httpx.get(f"{behind_proxy.url}/api/users/profile", headers=headers | {"Origin": ORIGIN})
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)
        assert "Origin" in answer.headers["Vary"]
        assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example.org", f"{ORIGIN}.evil.org", "http://app.example.org", "null"]
)
def test_a_page_of_another_origin_may_not(behind_proxy: LiveServer, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    for answer in (
        httpx.options(f"{behind_proxy.url}/api/users/profile", headers=asked),
        httpx.get(f"{behind_proxy.url}/api/users/profile", headers={"Origin": origin}),
    ):
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_pages_outside_the_api_are_nobody_elses_to_read(behind_proxy: LiveServer) -> None:
    answer = httpx.get(f"{behind_proxy.url}/openapi.json", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_only_a_trusted_proxy_that_was_asked_over_https_promises_https(
    behind_proxy: LiveServer, live_server: LiveServer
) -> None:
    over = {"X-Forwarded-Proto": "https"}
    promise = httpx.get(f"{behind_proxy.url}/health/live", headers=over).headers["Strict-Transport-Security"]
    assert "max-age=31536000" in promise
    for answer in (
        httpx.get(f"{behind_proxy.url}/health/live"),
        httpx.get(f"{behind_proxy.url}/health/live", headers={"X-Forwarded-Proto": "http"}),
        httpx.get(f"{behind_proxy.url}/health/live", headers={"X-Forwarded-Proto": "https, http"}),
        httpx.get(f"{live_server.url}/health/live", headers=over),
    ):
        assert "Strict-Transport-Security" not in answer.headers


def test_the_log_names_the_address_the_proxy_saw(behind_proxy: LiveServer, log_file: Path) -> None:
    headers = {"X-Forwarded-For": "198.51.100.1, 192.0.2.1", "X-Request-ID": "proxied"}
    httpx.get(f"{behind_proxy.url}/api/users/profile", headers=headers)
    [line] = [
        line for line in map(json.loads, log_file.read_text().splitlines()) if line.get("request_id") == "proxied"
    ]
    assert line["ip"] == "192.0.2.1"


def test_requests_that_are_answered_together_do_not_mix_in_the_log(
    behind_proxy: LiveServer, log_file: Path
) -> None:
    with httpx.Client(base_url=behind_proxy.url) as http, ThreadPoolExecutor(16) as callers:
        list(
            callers.map(lambda n: http.get(f"/api/nowhere/{n}", headers={"X-Request-ID": f"mixed-{n}"}), range(64))
        )
    lines = [
        line for line in map(json.loads, log_file.read_text().splitlines()) if "/nowhere/" in line.get("path", "")
    ]
    assert len(lines) == 64
    assert [
        line for line in lines if line["path"] != f"/api/nowhere/{line['request_id'].removeprefix('mixed-')}"
    ] == []


@pytest.mark.actor()
def test_the_log_says_which_key_it_was_and_not_its_secret(
    client: FlaskClient, account: Account, logged: Logged
) -> None:
    device_id = make_device(account.actor)["id"]
    of_device, of_api = make_device_key(account.actor, device_id), make_api_key(account.actor)
    for key in (of_device, of_api):
        assert client.get(f"/api/devices/{device_id}", headers=bearing(key)).status_code == 200
    by_device, by_api = logged("request")
    assert (by_device["device_id"], by_device["credential_id"]) == (device_id, of_device[4:28])
    assert (by_api["user_id"], by_api["credential_id"]) == (account.actor.user_id, of_api[4:28])
    assert "user_id" not in by_device and "device_id" not in by_api
    assert not any(key[29:] in str(logged()) for key in (of_device, of_api))
