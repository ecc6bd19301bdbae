"""Another e-mail address: asked for with the password, taken by whoever reads its mail, once and by one."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.auth import email_change, passwords
from devicehub.auth.email_change import LIFE, WINDOW
from devicehub.core.events import Event
from devicehub.mail.models import Mail
from devicehub.mail.rendering import render
from devicehub.users.models import User
from tests.conftest import LiveServer
from tests.factories import PASSWORD, Account, email_token, log_in, make_account
from tests.web.refusals import refused

CHANGE, CONFIRM, PROFILE = "/api/auth/email/change", "/api/auth/email/confirm", "/api/users/profile"
NEW = "ada@example.org"
MANY = 10


def ask(client: FlaskClient, email: str = NEW, password: str = PASSWORD) -> Any:
    return client.post(CHANGE, json={"email": email, "currentPassword": password})


def confirm(client: FlaskClient, token: str) -> Any:
    return client.post(CONFIRM, json={"token": token})


def mailed(kind: str) -> list[Mail]:
    return list(Mail.objects(kind=kind).order_by("id"))


def address_of(account: Account) -> str:
    return str(User.objects(id=ObjectId(account.actor.user_id)).first().email)


def test_a_stranger_cannot_ask(client: FlaskClient) -> None:
    refused(client.post(CHANGE, json={}), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.actor(role="viewer")
def test_whoever_reads_the_mail_of_the_new_address_makes_it_ones_own(
    client: FlaskClient, account: Account, told: list[Event]
) -> None:
    answer = ask(client, email="Ada@Example.org")
    assert (answer.status_code, answer.json) == (202, {"expiresIn": 86_400})
    assert client.get(PROFILE).json["email"] == account.email
    [mail] = mailed("email_change")
    assert (mail.to, mail.data["newEmail"]) == (NEW, NEW)
    client.environ_base.pop("HTTP_AUTHORIZATION")  # another browser may open the link
    answer = confirm(client, mail.data["token"])
    assert (answer.status_code, answer.json) == (200, {"email": NEW})
    assert {"user.email_changed"} == {event.name for event in told} - {"notification.created"}
    assert address_of(account) == NEW
    signed_in = client.post("/api/auth/login", json={"email": NEW, "password": PASSWORD})
    assert signed_in.status_code == 200
    before = client.post("/api/auth/login", json={"email": account.email, "password": PASSWORD})
    refused(before, 401, "INVALID_CREDENTIALS")


def test_the_mailed_link_carries_the_token(client: FlaskClient) -> None:
    token = email_token(make_account())
    [mail] = mailed("email_change")
    assert f"http://127.0.0.1:5000/confirm-email#{token}" in render("email_change", mail.data).text


@pytest.mark.actor()
def test_the_address_before_is_told_and_sees_the_new_one_masked(client: FlaskClient, account: Account) -> None:
    confirm(client, email_token(account, NEW))
    [mail] = mailed("email_changed")
    assert (mail.to, mail.data["newEmail"]) == (account.email, "a***@example.org")
    assert NEW not in render("email_changed", mail.data).text


@pytest.mark.actor()
def test_a_cached_profile_shows_the_new_address_at_once_and_sessions_go_on(
    client: FlaskClient, account: Account
) -> None:
    before = client.get(PROFILE)
    assert client.get(PROFILE).headers["X-Cache"] == "HIT"
    confirm(client, email_token(account, NEW))
    after = client.get(PROFILE)
    assert (after.json["email"], after.headers["X-Cache"]) == (NEW, "MISS")
    assert after.json["updatedAt"] > before.json["updatedAt"]


@pytest.mark.actor()
def test_it_takes_the_password(client: FlaskClient) -> None:
    refused(ask(client, password="wrong horse battery"), 401, "INVALID_CREDENTIALS")
    assert Mail.objects.count() == 0


@pytest.mark.actor()
def test_ones_present_address_is_no_new_one(client: FlaskClient, account: Account) -> None:
    problem = refused(ask(client, email=account.email.upper()), 422, "VALIDATION_ERROR")
    assert list(problem["errors"]) == ["email"]
    assert Mail.objects.count() == 0


@pytest.mark.actor()
def test_an_address_that_is_taken_is_answered_and_mailed_like_any_other(client: FlaskClient) -> None:
    bob = make_account(name="Bob")
    free, taken = ask(client), ask(client, email=bob.email)
    assert (free.status_code, free.json) == (taken.status_code, taken.json) == (202, {"expiresIn": 86_400})
    assert [mail.to for mail in mailed("email_change")] == [NEW, bob.email]


def test_what_somebody_else_has_by_then_is_theirs(client: FlaskClient) -> None:
    ada, bob = make_account(), make_account(name="Bob")
    token = email_token(ada, bob.email)
    refused(confirm(client, token), 409, "EMAIL_ALREADY_EXISTS")
    assert (address_of(ada), address_of(bob)) == (ada.email, bob.email)
    assert mailed("email_changed") == []


def test_a_link_works_once(client: FlaskClient) -> None:
    token = email_token(make_account(), NEW)
    assert confirm(client, token).status_code == 200
    refused(confirm(client, token), 401, "INVALID_EMAIL_TOKEN")
    assert len(mailed("email_changed")) == 1


def test_a_link_lapses_after_a_day(client: FlaskClient, clock: Callable[[float], None]) -> None:
    late, later = email_token(make_account()), email_token(make_account())
    clock(LIFE.total_seconds() - 60)
    assert confirm(client, late).status_code == 200
    clock(60)
    refused(confirm(client, later), 401, "INVALID_EMAIL_TOKEN")


def test_a_newer_request_ends_the_older_link(client: FlaskClient) -> None:
    ada = make_account()
    older, newer = email_token(ada, NEW), email_token(ada, "ada@example.net")
    refused(confirm(client, older), 401, "INVALID_EMAIL_TOKEN")
    assert confirm(client, newer).json == {"email": "ada@example.net"}


def test_a_new_password_ends_the_link_that_the_old_one_allowed(client: FlaskClient) -> None:
    ada = make_account()
    token = email_token(ada, NEW)
    other = passwords.hash_password("another horse battery")
    User.objects(id=ObjectId(ada.actor.user_id)).update_one(set__password_hash=other)
    refused(confirm(client, token), 401, "INVALID_EMAIL_TOKEN")
    assert address_of(ada) == ada.email


@pytest.mark.parametrize(
    "odd",
    ["x", "dhe_", "dhe__", "dhe_65f0a1b2c3d4e5f6a7b8c9d0_x", "dhd_{id}_{secret}", "dhe_{id}_", "dhe_{id}_x{secret}",
     "dhe_{other}_{secret}", "dhe_{id}_{secret}x", "{secret}", "dhe_{id}", "ü_{id}_{secret}"],
)  # fmt: skip
def test_nothing_else_is_a_token(client: FlaskClient, odd: str) -> None:
    ada, bob = make_account(), make_account(name="Bob")
    email_token(bob)
    user_id, secret = re.fullmatch("dhe_([0-9a-f]{24})_(.+)", email_token(ada)).groups()  # type: ignore[union-attr]
    token = odd.format(id=user_id, secret=secret, other=bob.actor.user_id)
    refused(confirm(client, token), 401, "INVALID_EMAIL_TOKEN")
    assert address_of(ada) == ada.email


def test_nothing_that_is_stored_for_it_is_the_token(client: FlaskClient) -> None:
    ada = make_account()
    _, _, secret = email_token(ada).split("_", 2)
    assert secret not in str(User.objects(id=ObjectId(ada.actor.user_id)).first().to_mongo())


@pytest.mark.actor()
def test_strangers_are_mailed_five_times_an_hour_at_most(
    client: FlaskClient,
    account: Account,
    client_of: Callable[[Account], FlaskClient],
    clock: Callable[[float], None],
) -> None:
    for number in range(5):
        assert ask(client, email=f"ada{number}@example.org").status_code == 202
        clock(60)
    answer = ask(client)
    refused(answer, 429, "AUTH_RATE_LIMIT_EXCEEDED")
    wait = int(answer.headers["Retry-After"])
    assert WINDOW.total_seconds() - 320 < wait <= WINDOW.total_seconds() - 300
    assert len(mailed("email_change")) == 5
    clock(wait)
    later = client_of(log_in(account.email))
    assert ask(later).status_code == 202
    refused(ask(later), 429, "AUTH_RATE_LIMIT_EXCEEDED")


def test_of_many_who_confirm_one_link_at_once_one_does(live_server: LiveServer, app: Any) -> None:
    token = email_token(make_account(), NEW)
    url = live_server.url + CONFIRM
    with ThreadPoolExecutor(MANY) as callers:
        answers = list(callers.map(lambda _: httpx.post(url, json={"token": token}, timeout=30), range(MANY)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * (MANY - 1)
    assert len(mailed("email_changed")) == 1


def test_of_many_who_want_one_address_at_once_one_gets_it(live_server: LiveServer, app: Any) -> None:
    accounts = [make_account() for _ in range(MANY)]
    tokens = [email_token(account, NEW) for account in accounts]
    url = live_server.url + CONFIRM
    with ThreadPoolExecutor(MANY) as callers:
        answers = list(callers.map(lambda token: httpx.post(url, json={"token": token}, timeout=30), tokens))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * (MANY - 1)
    assert [address_of(account) for account in accounts].count(NEW) == 1
    assert log_in(NEW)


def test_the_page_of_the_link_holds_no_token_and_may_do_little(client: FlaskClient) -> None:
    page = client.get("/confirm-email")
    policy = page.headers["Content-Security-Policy"]
    nonces = set(re.findall(r'nonce="([\w-]+)"', page.text))
    assert len(nonces) == 1 and policy.count(f"'nonce-{nonces.pop()}'") == 2
    assert policy.startswith("default-src 'none'; ") and "unsafe" not in policy
    assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"
    assert email_change.PREFIX + "_" not in page.text
    assert client.get("/confirm-email").headers["Content-Security-Policy"] != policy
