"""The way into the console and out: a cookie for a quarter of an hour, and no longer than its session."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from devicehub.audit.models import AuditEntry
from devicehub.auth import standing
from devicehub.console import passes
from devicehub.core import config
from devicehub.users.models import User
from tests.conftest import SECRETS
from tests.console.conftest import OURS, SESSION, enter
from tests.factories import Account, bearing, log_in, make_account, make_api_key, make_device, make_device_key
from tests.web.refusals import refused

COOKIE = "dh_console"
DATA = "/rq/0/data/queues.json"
FOREIGN = [
    None,
    "null",
    "https://evil.example",
    "https://localhost",
    "http://localhost:5001",
    "http://localhost.evil",
]
BrowserOf = Callable[[Account], FlaskClient]

pytestmark = pytest.mark.usefixtures("app")


def value(browser: FlaskClient) -> str:
    cookie = browser.get_cookie(COOKIE, path="/rq")
    assert cookie
    return cookie.value


def with_cookie(app: Flask, text: str) -> FlaskClient:
    browser = app.test_client()
    browser.set_cookie(COOKIE, text, path="/rq")
    return browser


def test_a_stranger_is_not_let_in(client: FlaskClient) -> None:
    answer = client.post(SESSION, headers=OURS)
    refused(answer, 401, "AUTHENTICATION_REQUIRED")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.actor(role="owner")
def test_nor_is_whoever_is_no_platform_admin(client: FlaskClient) -> None:
    answer = client.post(SESSION, headers=OURS)
    refused(answer, 403, "FORBIDDEN")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.actor(platform_admin=True)
def test_nor_is_a_key_even_of_a_platform_admin(app: Flask, account: Account) -> None:
    device_key = make_device_key(account.actor, make_device(account.actor)["id"])
    for key in (make_api_key(account.actor), device_key):
        refused(app.test_client().post(SESSION, headers=bearing(key) | OURS), 403, "FORBIDDEN")
        refused(app.test_client().get(DATA, headers=bearing(key)), 403, "FORBIDDEN")


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_the_page_of_a_stranger_changes_nothing(client: FlaskClient, method: str, origin: str | None) -> None:
    answer = client.open(SESSION, method=method, headers={"Origin": origin} if origin else {})
    refused(answer, 403, "FORBIDDEN")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.actor(platform_admin=True)
def test_an_allowed_page_lets_one_in(client: FlaskClient, using: Any) -> None:
    with using(allowed_origins=("https://app.example",)):
        assert client.post(SESSION, headers={"Origin": "https://app.example"}).status_code == 204
        refused(client.post(SESSION, headers={"Origin": "https://app.example.evil"}), 403, "FORBIDDEN")


@pytest.mark.actor(platform_admin=True)
@pytest.mark.parametrize(
    ("app_env", "host", "is_secure"),
    [("development", "localhost", False), ("development", "hub.example", True), ("production", "localhost", True)],
)
def test_the_cookie_is_for_the_console_alone_and_for_no_script(
    client: FlaskClient, using: Any, app_env: str, host: str, is_secure: bool
) -> None:
    with using(app_env=app_env):
        answer = client.post(SESSION, headers={"Host": host, "Origin": f"http://{host}"})
    cookie = SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]
    assert (cookie["path"], cookie["samesite"], cookie["max-age"]) == ("/rq", "Strict", "900")
    assert cookie["httponly"] is True and not cookie["domain"]
    assert bool(cookie["secure"]) is is_secure


def test_it_opens_the_console_and_nothing_else(browser: FlaskClient, admin: Account) -> None:
    assert browser.get("/rq").status_code == 200
    assert browser.get(DATA).status_code == 200
    text = value(browser)
    refused(browser.get("/api/users/profile", headers=bearing(text)), 401, "INVALID_TOKEN")
    refused(browser.get("/api/users/profile", headers={"Cookie": f"{COOKIE}={text}"}), 401)


def test_an_access_token_is_no_cookie(app: Flask, admin: Account) -> None:
    refused(with_cookie(app, admin.access_token).get(DATA), 401, "AUTHENTICATION_REQUIRED")


def test_it_is_good_for_a_quarter_of_an_hour(app: Flask, browser: FlaskClient, clock: Any) -> None:
    kept = with_cookie(app, value(browser))  # which does not forget it by itself
    clock(15 * 60 - 5)
    assert kept.get(DATA).status_code == 200
    clock(6)
    refused(kept.get(DATA), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("at", range(7))
def test_no_part_of_it_can_be_changed(app: Flask, browser: FlaskClient, at: int) -> None:
    parts = value(browser).split(".")
    assert len(parts) == 7
    parts[at] = (
        str(int(parts[at]) + 1)
        if parts[at].isdigit()
        else parts[at][:-2] + "ab"[:: 1 - 2 * (parts[at][-2:] == "ab")]
    )
    refused(with_cookie(app, ".".join(parts)).get(DATA), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("text", ["", ".", "x", "a.b.c", "......", "é", "0" * 4000, "1.2.3.4.5.6.7"])
def test_what_is_no_cookie_of_ours_is_none(app: Flask, text: str) -> None:
    refused(with_cookie(app, text).get(DATA), 401, "AUTHENTICATION_REQUIRED")


def test_it_outlives_a_change_of_the_secret_as_long_as_tokens_do(browser: FlaskClient, using: Any) -> None:
    fresh = "0123456789abcdefghijklmnopqrstuv-newer"
    with using(jwt_secret=fresh, jwt_secret_previous=SECRETS["jwt_secret"]):
        assert browser.get(DATA).status_code == 200
    with using(jwt_secret=fresh):
        refused(browser.get(DATA), 401, "AUTHENTICATION_REQUIRED")
    assert config.current().jwt_secret == SECRETS["jwt_secret"]


def test_it_ends_with_its_session(app: Flask, browser_of: BrowserOf, admin: Account) -> None:
    here, elsewhere = browser_of(admin), browser_of(log_in(admin.email))
    assert app.test_client().post("/api/auth/logout", headers=admin.headers).status_code == 204
    refused(here.get(DATA), 401, "AUTHENTICATION_REQUIRED")
    assert elsewhere.get(DATA).status_code == 200


def test_it_ends_when_its_session_is_ended_elsewhere(app: Flask, browser: FlaskClient, admin: Account) -> None:
    other = log_in(admin.email)
    path = f"/api/auth/sessions/{admin.actor.session_id}"
    assert app.test_client().delete(path, headers=other.headers).status_code == 204
    refused(browser.get(DATA), 401, "AUTHENTICATION_REQUIRED")


def test_it_ends_with_the_token_it_was_given_for(app: Flask, browser: FlaskClient, admin: Account) -> None:
    answer = app.test_client().post("/api/auth/revoke", json={"token": admin.access_token}, headers=admin.headers)
    assert answer.status_code == 204
    refused(browser.get(DATA), 401, "AUTHENTICATION_REQUIRED")


def test_whoever_is_no_platform_admin_any_more_is_refused_at_once(browser: FlaskClient, admin: Account) -> None:
    User.objects(id=admin.actor.user_id).update_one(set__role="user")
    standing.forget_user(admin.actor.user_id)
    refused(browser.get(DATA), 403, "FORBIDDEN")
    page = browser.get("/rq")
    assert page.status_code == 403 and "You are no platform admin." in page.text


def test_one_leaves_and_the_browser_forgets_it(client: FlaskClient, browser: FlaskClient) -> None:
    assert browser.delete(SESSION, headers=OURS).status_code == 204
    assert browser.get_cookie(COOKIE, path="/rq") is None
    refused(browser.get(DATA), 401, "AUTHENTICATION_REQUIRED")
    assert client.delete(SESSION, headers=OURS).status_code == 204, "it asks nobody who they are"


def test_the_trail_tells_who_came_in(app: Flask, admin: Account) -> None:
    enter(app.test_client(), admin)
    entry = AuditEntry.objects.visible_to(admin.actor).filter(action="console.opened").get()
    assert (entry.target, entry.outcome) == (admin.actor.session_id, "done")


def test_somebody_elses_session_is_of_no_use_to_an_admin(app: Flask, admin: Account) -> None:
    """A pass names both, and both must still belong together."""
    stranger = make_account()
    facts = {"sub": admin.actor.user_id, "sid": stranger.actor.session_id, "org": admin.actor.organization_id}
    mixed = passes.issue(facts | {"jti": admin.actor.token_id, "tv": 0})
    refused(with_cookie(app, mixed).get(DATA), 401, "AUTHENTICATION_REQUIRED")
