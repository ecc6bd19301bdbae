"""Browser mode: the refresh token is in a cookie that no script reads, and only our own pages may use it."""

from http.cookies import Morsel, SimpleCookie
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Account, join, make_account
from tests.web.refusals import refused

COOKIE = "dh_refresh"
BROWSER = {"X-Token-Transport": "cookie", "User-Agent": "tests", "Origin": "http://localhost"}
LOGIN, REFRESH, LOGOUT = (f"/api/auth/{name}" for name in ("login", "refresh", "logout"))
PROFILE = "/api/users/profile"


def cookie_of(answer: Any) -> "Morsel[str] | None":
    """The cookie that an answer sets."""
    cookie: SimpleCookie = SimpleCookie()
    for header in answer.headers.getlist("Set-Cookie"):
        cookie.load(header)
    return cookie.get(COOKIE)


@pytest.fixture
def ada(app: Flask) -> Account:
    return make_account()


@pytest.fixture
def browser(app: Flask, ada: Account) -> FlaskClient:
    """A browser in which Ada is signed in; it keeps cookies by itself."""
    browser = app.test_client()
    assert browser.post(LOGIN, json={"email": ada.email, "password": PASSWORD}, headers=BROWSER).status_code == 200
    return browser


def kept(browser: FlaskClient) -> str | None:
    cookie = browser.get_cookie(COOKIE, path="/api")
    return cookie.value if cookie else None


def test_a_login_sets_the_cookie_and_answers_without_the_token(client: FlaskClient, ada: Account) -> None:
    answer = client.post(LOGIN, json={"email": ada.email, "password": PASSWORD}, headers=BROWSER)
    assert "refreshToken" not in answer.json and answer.json["accessToken"] and answer.json["deviceToken"]
    cookie = cookie_of(answer)
    assert cookie and cookie.value.startswith("dhr1.")
    assert (cookie["path"], cookie["samesite"], cookie["max-age"]) == ("/api", "Strict", "604800")
    assert cookie["httponly"] is True and not cookie["domain"]


@pytest.mark.parametrize(
    ("app_env", "host", "is_secure"),
    [
        ("development", "localhost:5000", False),
        ("development", "127.0.0.1:5000", False),
        ("development", "[::1]:5000", False),
        ("development", "devicehub.example", True),
        ("development", "localhost.example", True),
        ("production", "localhost:5000", True),
        ("production", "devicehub.example", True),
    ],
)
def test_the_cookie_is_secure_but_on_the_loopback_in_development(
    client: FlaskClient, ada: Account, using: Any, app_env: str, host: str, is_secure: bool
) -> None:
    with using(app_env=app_env):
        answer = client.post(
            LOGIN, json={"email": ada.email, "password": PASSWORD}, headers=BROWSER | {"Host": host}
        )
    cookie = cookie_of(answer)
    assert cookie and bool(cookie["secure"]) is is_secure


def test_without_the_header_no_cookie_is_set(client: FlaskClient, ada: Account) -> None:
    answer = client.post(LOGIN, json={"email": ada.email, "password": PASSWORD})
    assert answer.json["refreshToken"]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("transport", ["body", "Cookie", ""])
def test_there_is_no_other_transport(client: FlaskClient, ada: Account, transport: str) -> None:
    headers = {"X-Token-Transport": transport}
    answer = client.post(LOGIN, json={"email": ada.email, "password": PASSWORD}, headers=headers)
    assert list(refused(answer, 422, "VALIDATION_ERROR")["errors"]) == ["X-Token-Transport"]


def test_a_refusal_sets_no_cookie(client: FlaskClient, ada: Account) -> None:
    answer = client.post(LOGIN, json={"email": ada.email, "password": "wrong horse"}, headers=BROWSER)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_refresh_reads_the_cookie_and_replaces_it(browser: FlaskClient, ada: Account) -> None:
    before = kept(browser)
    for body in ({"json": {}}, {}):
        answer = browser.post(REFRESH, headers=BROWSER, **body)
        assert answer.status_code == 200 and "refreshToken" not in answer.json
        assert kept(browser) not in (None, before)
        before = kept(browser)
    fresh = {"Authorization": f"Bearer {answer.json['accessToken']}"}
    assert browser.get(PROFILE, headers=fresh).json["email"] == ada.email


def test_what_came_by_cookie_goes_by_cookie_whatever_is_asked(browser: FlaskClient) -> None:
    """Or a script of the page could ask for what it may not read."""
    answer = browser.post(REFRESH, headers={"User-Agent": "tests", "Origin": "http://localhost"})
    assert answer.status_code == 200 and "refreshToken" not in answer.json
    assert cookie_of(answer)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        "https://localhost",
        "http://localhost:81",
        "http://localhost.evil.example",
        "*",
    ],
)
@pytest.mark.parametrize("path", [REFRESH, LOGOUT])
def test_the_cookie_is_taken_from_no_page_but_ours(browser: FlaskClient, path: str, origin: str | None) -> None:
    before = kept(browser)
    headers = {"User-Agent": "tests"} | ({"Origin": origin} if origin else {})
    refused(browser.post(path, headers=headers), 403, "FORBIDDEN")
    assert kept(browser) == before
    assert browser.post(REFRESH, headers=BROWSER).status_code == 200


def test_nor_from_any_page_where_every_origin_may_call(browser: FlaskClient, using: Any) -> None:
    with using(allowed_origins=("*",)):
        answer = browser.post(REFRESH, headers=BROWSER | {"Origin": "https://evil.example"})
    refused(answer, 403, "FORBIDDEN")


def test_the_cookie_is_taken_from_pages_of_allowed_origins(browser: FlaskClient, using: Any) -> None:
    with using(allowed_origins=("https://app.example.com",)):
        answer = browser.post(REFRESH, headers=BROWSER | {"Origin": "https://app.example.com"})
    assert answer.status_code == 200


def test_a_token_in_the_body_wins_over_the_cookie_and_needs_no_origin(browser: FlaskClient) -> None:
    other, before = make_account(), kept(browser)
    answer = browser.post(REFRESH, json={"refreshToken": other.refresh_token}, headers={"User-Agent": "tests"})
    assert answer.json["user"]["email"] == other.email
    assert answer.json["refreshToken"] and kept(browser) == before


def test_with_neither_there_is_nothing_to_refresh(client: FlaskClient) -> None:
    refused(client.post(REFRESH, headers=BROWSER), 401, "INVALID_REFRESH_TOKEN")
    refused(client.post(REFRESH, json={}), 401, "INVALID_REFRESH_TOKEN")


def test_logging_out_ends_the_session_and_drops_the_cookie(browser: FlaskClient) -> None:
    token = kept(browser)
    answer = browser.post(LOGOUT, headers=BROWSER)
    assert (answer.status_code, answer.data) == (204, b"")
    assert kept(browser) is None
    refused(browser.post(REFRESH, json={"refreshToken": token}), 401, "INVALID_REFRESH_TOKEN")
    cookie = cookie_of(answer)
    assert cookie and (cookie.value, cookie["max-age"], cookie["path"]) == ("", "0", "/api")


def test_an_old_cookie_is_dropped_and_whoever_is_signed_in_besides_is_signed_out(
    client: FlaskClient, ada: Account
) -> None:
    client.set_cookie(COOKIE, "dhr1.old", path="/api")
    assert client.post(LOGOUT, headers=BROWSER | ada.headers).status_code == 204
    assert kept(client) is None
    refused(client.get(PROFILE, headers=ada.headers), 401, "TOKEN_REVOKED")


def test_an_old_cookie_alone_is_dropped(client: FlaskClient) -> None:
    client.set_cookie(COOKIE, "dhr1.old", path="/api")
    assert client.post(LOGOUT, headers=BROWSER).status_code == 204
    assert kept(client) is None


def test_a_cookie_alone_identifies_nobody(browser: FlaskClient) -> None:
    refused(browser.get(PROFILE, headers=BROWSER), 401, "AUTHENTICATION_REQUIRED")
    refused(browser.post("/api/auth/logout-all", headers=BROWSER), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("act", ["switch-organization", "password/change"])
def test_whatever_else_answers_tokens_does_so_by_cookie_too(client: FlaskClient, ada: Account, act: str) -> None:
    theirs = make_account().actor.organization_id
    join(ada, theirs, role="viewer")
    bodies = {
        "switch-organization": {"organizationId": theirs},
        "password/change": {"currentPassword": PASSWORD, "newPassword": "staple battery horse"},
    }
    answer = client.post(f"/api/auth/{act}", json=bodies[act], headers=BROWSER | ada.headers)
    assert answer.status_code == 200 and "refreshToken" not in answer.json
    assert client.post(REFRESH, headers=BROWSER).status_code == 200


def test_the_limit_of_refreshes_counts_the_session_in_the_cookie(
    browser: FlaskClient, app: Flask, using: Any
) -> None:
    body, headers = {"email": make_account().email, "password": PASSWORD}, BROWSER
    other = app.test_client()
    with using(refresh_rate_limit="2 per minute"):
        other.post(LOGIN, json=body, headers=headers)
        assert [browser.post(REFRESH, headers=headers).status_code for _ in range(3)] == [200, 200, 429]
        assert other.post(REFRESH, headers=headers).status_code == 200
