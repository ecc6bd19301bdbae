"""Rate limits: every class at its promised figure, for the right caller, in every process, with or without Redis."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

import httpx
import pytest
from flask import Flask, g, request
from flask.testing import FlaskClient

from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.web import errors, limits
from devicehub.web.guards import Guard, LimitClass
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, bearing, make_account, make_api_key, make_device
from tests.web.refusals import refused

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
Using = Callable[..., AbstractContextManager[None]]
ClientOf = Callable[[Account], FlaskClient]
Ask = Callable[[], Any]
_numbers = count(1)

# Its servers are started once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("limits")


@pytest.fixture
def promised(using: Using) -> Any:
    """The limits as they are when nobody sets them."""
    names = [name for name in Settings.model_fields if name.endswith("_rate_limit")]
    with using(**{name: Settings.model_fields[name].default for name in names}):
        yield


def allowed(ask: Ask, count: int) -> Any:
    """Ask `count` times, all of which must be let through, and return the answer to one more."""
    assert 429 not in {ask().status_code for _ in range(count)}
    return ask()


def log_in(client: FlaskClient) -> Any:
    """One wrong password for somebody else each time, so that the limit is met and no lock."""
    email = f"nobody{next(_numbers)}@example.com"
    return client.post("/api/auth/login", json={"email": email, "password": "wrong password"})


@pytest.mark.usefixtures("promised")
def test_five_sign_ins_or_ups_a_minute_from_one_address_failed_or_not(client: FlaskClient) -> None:
    ada = {"name": "Ada Lovelace", "email": "ada@example.com", "password": "correct horse battery"}
    assert client.post("/api/auth/signup", json=ada).status_code == 201
    assert client.post("/api/auth/login", json={k: ada[k] for k in ("email", "password")}).status_code == 200
    assert client.post("/api/auth/login", data=b"{nonsense", content_type="application/json").status_code == 400
    refused(allowed(lambda: log_in(client), 2), 429, "AUTH_RATE_LIMIT_EXCEEDED")
    signed = client.post("/api/auth/login", json={}, headers=make_account().headers)
    refused(signed, 429, "AUTH_RATE_LIMIT_EXCEEDED")
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert client.post("/api/auth/login", json={}, environ_base=elsewhere).status_code == 422


@pytest.mark.usefixtures("promised")
def test_thirty_refreshes_a_minute_of_one_session(client: FlaskClient) -> None:
    ada, bob = make_account(), make_account()

    def refresh(account: Account = ada) -> Any:
        body = {"refreshToken": account.refresh_token}
        return client.post("/api/auth/refresh", json=body, headers={"User-Agent": "tests"})

    refused(allowed(refresh, 30), 429, "RATE_LIMIT_EXCEEDED")
    assert refresh(bob).status_code == 200


@pytest.mark.usefixtures("promised")
def test_a_hundred_device_operations_a_minute_of_one_user(client_of: ClientOf) -> None:
    ada = make_account()
    colleague = make_account(role="operator", organization_id=ada.actor.organization_id)
    client = client_of(ada)
    assert (
        client.post("/api/devices/batch", json={"devices": [{"name": "One", "type": "sensor"}] * 3}).status_code
        == 200
    )
    assert client.get(f"/api/devices/{UNKNOWN}").status_code == 404
    refused(allowed(lambda: client.get("/api/devices"), 98), 429, "DEVICE_RATE_LIMIT_EXCEEDED")
    assert client_of(colleague).get("/api/devices").status_code == 200
    assert client.get("/api/users/profile").status_code == 200


@pytest.mark.usefixtures("promised")
def test_a_hundred_and_twenty_heartbeats_a_minute_of_one_device(client_of: ClientOf) -> None:
    ada = make_account()
    one, other = make_device(ada.actor)["id"], make_device(ada.actor)["id"]
    client = client_of(ada)
    refused(allowed(lambda: client.post(f"/api/devices/{one}/heartbeat"), 120), 429, "RATE_LIMIT_EXCEEDED")
    assert client.post(f"/api/devices/{other}/heartbeat").status_code == 200


@pytest.mark.usefixtures("promised")
def test_two_hundred_of_everything_else_a_minute_of_one_user(client_of: ClientOf) -> None:
    ada, bob = client_of(make_account()), client_of(make_account())
    refused(allowed(lambda: ada.get("/api/users/profile"), 200), 429, "RATE_LIMIT_EXCEEDED")
    assert bob.get("/api/users/profile").status_code == 200


@pytest.fixture
def on_a_route_of(app: Flask) -> Callable[[LimitClass], FlaskClient]:
    """A client of a small application with one route of a class, asked by whoever `?user=` names."""

    def make(limit: LimitClass) -> FlaskClient:
        small = Flask("small")

        def answer() -> str:
            return "done"

        answer.guard = Guard("viewer", limit)  # type: ignore[attr-defined]
        small.add_url_rule("/", view_func=answer)
        small.before_request(lambda: setattr(g, "actor", Actor(request.args["user"], UNKNOWN, "viewer")))
        limits.init_app(small)
        errors.init_app(small)
        return small.test_client()

    return make


@pytest.mark.usefixtures("promised")
@pytest.mark.parametrize(
    ("limit", "count", "longest", "code"),
    [
        ("analytics", 50, 60, "ANALYTICS_RATE_LIMIT_EXCEEDED"),
        ("export", 10, 3600, "EXPORT_RATE_LIMIT_EXCEEDED"),
    ],
)
def test_fifty_analyses_a_minute_and_ten_exports_an_hour_of_one_user(
    on_a_route_of: Callable[[LimitClass], FlaskClient], limit: LimitClass, count: int, longest: int, code: str
) -> None:
    client = on_a_route_of(limit)
    answer = allowed(lambda: client.get("/?user=ada"), count)
    assert (answer.status_code, answer.json["code"]) == (429, code)
    assert longest - 30 < int(answer.headers["Retry-After"]) <= longest + 2
    assert client.get("/?user=bob").status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_pages_count_like_everything_else(client: FlaskClient, using: Using, path: str) -> None:
    with using(general_rate_limit="2 per minute"):
        refused(allowed(lambda: client.get(path), 2), 429, "RATE_LIMIT_EXCEEDED")


def test_an_api_key_counts_with_its_owner(client_of: ClientOf, using: Using) -> None:
    ada = make_account()
    client, key = client_of(ada), bearing(make_api_key(ada.actor))
    with using(device_rate_limit="2 per minute"):
        codes = [client.get("/api/devices", **how).status_code for how in ({}, {"headers": key}, {})]
    assert codes == [200, 200, 429]


def test_a_stranger_is_known_by_address(client: FlaskClient, using: Using) -> None:
    with using(general_rate_limit="2 per minute"):
        refused(allowed(lambda: client.get("/api/users/profile"), 2), 429, "RATE_LIMIT_EXCEEDED")
        elsewhere = client.get("/api/users/profile", environ_base={"REMOTE_ADDR": "192.0.2.7"})
        refused(elsewhere, 401, "AUTHENTICATION_REQUIRED")
        known = client.get("/api/users/profile", headers=make_account().headers)
        assert known.status_code == 200


@pytest.mark.parametrize(
    ("setting", "path"),
    [("ingest_rate_limit", "/api/devices/{n:024x}/heartbeat"), ("refresh_rate_limit", "/api/auth/refresh")],
)
def test_made_up_names_are_held_back_by_the_general_limit(
    client_of: ClientOf, using: Using, setting: str, path: str
) -> None:
    client = client_of(make_account())

    def ask(n: int) -> Any:
        return client.post(path.format(n=n), json={"refreshToken": f"dhr1.{n}.0.x"} if "auth" in path else {})

    with using(**{setting: "2 per minute"}, general_rate_limit="4 per minute"):
        assert [ask(n).status_code for n in range(4)] in ([404] * 4, [401] * 4)
        refused(ask(5), 429, "RATE_LIMIT_EXCEEDED")


def test_an_id_in_capitals_is_no_other_device(client_of: ClientOf, using: Using) -> None:
    ada = make_account()
    device_id = make_device(ada.actor)["id"]
    spellings = device_id, device_id[:-1] + device_id[-1].upper(), device_id.upper()
    with using(ingest_rate_limit="1 per minute"):
        codes = [client_of(ada).post(f"/api/devices/{one}/heartbeat").status_code for one in spellings]
    assert codes == [200, 429, 429]


def test_beats_that_are_welcome_do_not_count_against_the_general_limit(client_of: ClientOf, using: Using) -> None:
    ada = make_account()
    client, path = client_of(ada), f"/api/devices/{make_device(ada.actor)['id']}/heartbeat"
    with using(general_rate_limit="2 per minute"):
        assert [client.post(path).status_code for _ in range(5)] == [200] * 5


@pytest.mark.actor()
def test_every_answer_says_what_is_left_and_only_a_refusal_says_when_to_come_back(
    client: FlaskClient, using: Using
) -> None:
    with using(general_rate_limit="2 per minute"):
        first, second, third = (client.get("/api/users/profile") for _ in range(3))
    assert [answer.headers["X-RateLimit-Limit"] for answer in (first, second, third)] == ["2", "2", "2"]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in (first, second, third)] == ["1", "0", "0"]
    for answer in (first, second, third):
        assert 0 < int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 62
    assert "Retry-After" not in first.headers and "Retry-After" not in second.headers
    assert 1 <= int(third.headers["Retry-After"]) <= 61
    refused(third, 429, "RATE_LIMIT_EXCEEDED")


@pytest.mark.actor()
def test_the_window_moves(client: FlaskClient, using: Using) -> None:
    with using(general_rate_limit="1 per second"):
        answers = [client.get("/api/users/profile").status_code for _ in range(2)]
        wait_until(lambda: client.get("/api/users/profile").status_code == 200)
    assert answers[0] == 200


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
def test_health_is_never_limited(client: FlaskClient, using: Using, path: str) -> None:
    with using(general_rate_limit="1 per minute"):
        answers = [client.get(path) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert "X-RateLimit-Limit" not in answers[0].headers


def test_asking_what_is_allowed_does_not_count(client: FlaskClient, using: Using) -> None:
    with using(auth_rate_limit="1 per minute"):
        assert [client.options("/api/auth/login").status_code for _ in range(3)] == [200] * 3
        assert log_in(client).status_code == 401


def test_a_refusal_is_logged_as_a_security_event(client: FlaskClient, using: Using, logged: Any) -> None:
    with using(auth_rate_limit="1 per minute"):
        log_in(client)
        answer = log_in(client)
    [line] = logged("security.rate_limited")
    assert line["level"] == "warning"
    assert (line["limit_class"], line["ip"], line["route"]) == ("auth", "127.0.0.1", "/api/auth/login")
    assert line["request_id"] == answer.headers["X-Request-ID"]


def test_a_forwarded_address_is_not_believed(client: FlaskClient, using: Using) -> None:
    with using(auth_rate_limit="1 per minute"):
        for number in range(3):
            answer = client.post("/api/auth/login", json={}, headers={"X-Forwarded-For": f"192.0.2.{number}"})
    refused(answer, 429, "AUTH_RATE_LIMIT_EXCEEDED")


@pytest.fixture(scope="module")
def twins(serve: Callable[..., LiveServer]) -> list[LiveServer]:
    limits = {"GENERAL_RATE_LIMIT": "4", "AUTH_RATE_LIMIT": "4", "TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "1"}
    return [serve(**limits), serve(**limits)]


def test_two_processes_share_one_window(twins: list[LiveServer], app: Any) -> None:
    ada = make_account()
    with httpx.Client(headers=ada.headers) as client:
        answers = [client.get(f"{twins[turn % 2].url}/api/users/profile") for turn in range(4)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["3", "2", "1", "0"]
        for twin in twins:
            refused(client.get(f"{twin.url}/api/users/profile"), 429, "RATE_LIMIT_EXCEEDED")


def test_behind_one_proxy_the_address_it_names_counts_and_nothing_further_left(
    twins: list[LiveServer], app: Any
) -> None:
    def log_in(forwarded: str) -> httpx.Response:
        headers = {"X-Forwarded-For": forwarded}
        return httpx.post(f"{twins[0].url}/api/auth/login", json={}, headers=headers)

    assert [log_in(f"198.51.100.{n}, 192.0.2.1").status_code for n in range(4)] == [422] * 4
    refused(log_in("198.51.100.9, 192.0.2.1"), 429, "AUTH_RATE_LIMIT_EXCEEDED")
    assert log_in("192.0.2.1, 192.0.2.2").status_code == 422


def test_without_redis_each_process_keeps_the_limits_and_shares_them_again_when_it_is_back(
    client: FlaskClient, using: Using, servers: Servers
) -> None:
    with using(auth_rate_limit="4 per minute", web_concurrency=2):
        servers.redis.stop()
        try:
            assert [log_in(client).status_code for _ in range(2)] == [401, 401]
            answer = log_in(client)  # a process of two has half of what guards passwords
            refused(answer, 429, "AUTH_RATE_LIMIT_EXCEEDED")
            assert int(answer.headers["Retry-After"]) >= 1
        finally:
            servers.restart_redis()
        wait_until(lambda: client.get("/health").json["dependencies"]["redis"] == "connected")
        assert [log_in(client).status_code for _ in range(5)] == [401] * 4 + [429]
