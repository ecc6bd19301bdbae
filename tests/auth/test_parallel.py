"""Many at once: one token refreshed, one account made, one session ended."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from bson import ObjectId

from devicehub.auth.models import Session
from devicehub.organizations.models import Organization
from devicehub.users.models import User
from tests.conftest import LiveServer
from tests.factories import PASSWORD, Account, make_account

MANY = 20

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.xdist_group("tokens")]


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=None)) as client:
        yield client


def at_once(ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """The answers to `MANY` requests that are all sent before the first is answered."""
    with ThreadPoolExecutor(MANY) as callers:
        return list(callers.map(ask, range(MANY)))


def session_of(account: Account) -> Session:
    return Session.objects(id=ObjectId(account.actor.session_id)).first()


def test_twenty_refreshes_of_one_token_at_once_have_one_successor(
    live_server: LiveServer, http: httpx.Client
) -> None:
    ada = make_account()
    url, body, browser = (
        f"{live_server.url}/api/auth/refresh",
        {"refreshToken": ada.refresh_token},
        {"User-Agent": "tests"},
    )
    answers = at_once(lambda _: http.post(url, json=body, headers=browser))
    assert [answer.status_code for answer in answers] == [200] * MANY
    successors = {answer.json()["refreshToken"] for answer in answers}
    assert len(successors) == 1 and ada.refresh_token not in successors
    assert session_of(ada).n == 1
    again = http.post(url, json={"refreshToken": successors.pop()}, headers=browser)
    assert again.status_code == 200
    for token in {answer.json()["accessToken"] for answer in answers}:
        profile = http.get(f"{live_server.url}/api/users/profile", headers={"Authorization": f"Bearer {token}"})
        assert profile.status_code == 200


def test_of_twenty_browsers_with_one_token_none_keeps_it(live_server: LiveServer, http: httpx.Client) -> None:
    ada = make_account()
    url, body = f"{live_server.url}/api/auth/refresh", {"refreshToken": ada.refresh_token}
    answers = at_once(lambda number: http.post(url, json=body, headers={"User-Agent": f"browser {number}"}))
    told = Counter(answer.json().get("code", "granted") for answer in answers)
    assert told["granted"] == 1
    assert told["REFRESH_TOKEN_REUSED"] >= 1
    assert set(told) <= {"granted", "REFRESH_TOKEN_REUSED", "INVALID_REFRESH_TOKEN"}
    [granted] = [answer.json() for answer in answers if answer.status_code == 200]
    later = http.post(url, json={"refreshToken": granted["refreshToken"]})
    assert later.json()["code"] == "INVALID_REFRESH_TOKEN"
    assert session_of(ada).reason == "reuse"


def test_twenty_sign_ups_of_one_address_at_once_make_one_account(
    live_server: LiveServer, http: httpx.Client
) -> None:
    body = {"name": "Ada Lovelace", "email": "ada@example.com", "password": PASSWORD}
    answers = at_once(lambda _: http.post(f"{live_server.url}/api/auth/signup", json=body))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: MANY - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"EMAIL_ALREADY_EXISTS"}
    assert len(User.objects) == len(Organization.objects) == 1


def test_a_refresh_that_races_the_end_of_its_session_never_outlives_it(
    live_server: LiveServer, http: httpx.Client
) -> None:
    ada = make_account()
    browser = {"User-Agent": "tests"}

    def ask(number: int) -> httpx.Response:
        if number == MANY // 2:
            return http.post(f"{live_server.url}/api/auth/logout", json={}, headers=ada.headers)
        return http.post(
            f"{live_server.url}/api/auth/refresh", json={"refreshToken": ada.refresh_token}, headers=browser
        )

    answers = at_once(ask)
    assert {answer.status_code for answer in answers} <= {200, 204, 401}
    for granted in (answer.json() for answer in answers if answer.status_code == 200):
        access = {"Authorization": f"Bearer {granted['accessToken']}"}
        assert http.get(f"{live_server.url}/api/users/profile", headers=access).status_code == 401
        later = http.post(
            f"{live_server.url}/api/auth/refresh", json={"refreshToken": granted["refreshToken"]}, headers=browser
        )
        assert later.json()["code"] == "INVALID_REFRESH_TOKEN"


def test_more_sign_ins_than_may_wait_are_told_to_come_back(
    serve: Callable[..., LiveServer], http: httpx.Client
) -> None:
    server = serve(PASSWORD_HASH_QUEUE="2", BCRYPT_ROUNDS="10")

    def ask(number: int) -> httpx.Response:
        body = {"email": f"nobody{number}@example.com", "password": "a wrong password"}
        return http.post(f"{server.url}/api/auth/login", json=body)

    answers = at_once(ask)
    told = Counter(answer.json()["code"] for answer in answers)
    assert told["INVALID_CREDENTIALS"] >= 2 and told["BUSY"] >= 1
    assert told.total() == told["INVALID_CREDENTIALS"] + told["BUSY"]
    assert {answer.headers.get("Retry-After") for answer in answers if answer.status_code == 503} == {"1"}
    assert ask(MANY).json()["code"] == "INVALID_CREDENTIALS"
    server.stop()


def test_of_twenty_wrong_passwords_at_once_five_are_told_so(live_server: LiveServer, http: httpx.Client) -> None:
    body = {"email": make_account().email, "password": "a wrong password"}
    answers = at_once(lambda _: http.post(f"{live_server.url}/api/auth/login", json=body))
    told = Counter(answer.json()["code"] for answer in answers)
    assert told == {"INVALID_CREDENTIALS": 5, "ACCOUNT_LOCKED": MANY - 5}
    assert {answer.headers.get("Retry-After") for answer in answers if answer.status_code == 423} <= {"60", "59"}


def test_twenty_right_passwords_at_once_are_all_let_in(live_server: LiveServer, http: httpx.Client) -> None:
    body = {"email": make_account().email, "password": PASSWORD}
    answers = at_once(lambda _: http.post(f"{live_server.url}/api/auth/login", json=body))
    assert Counter(answer.status_code for answer in answers) == {200: MANY}
