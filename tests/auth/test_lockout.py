"""Lockout that is no weapon: whoever guesses is locked out, and nobody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.auth import lockout, passwords
from devicehub.auth.errors import AccountLocked, InvalidCredentials
from devicehub.core import mongo
from devicehub.mail.models import Mail
from tests.auth.test_routes import refresh
from tests.factories import PASSWORD, make_account
from tests.web.refusals import refused

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.7"
LOGIN = "/api/auth/login"


def sign_in(client: FlaskClient, email: str, password: str = PASSWORD, *, ip: str = HERE, **more: Any) -> Any:
    body = {"email": email, "password": password, **more}
    return client.post(LOGIN, json=body, environ_base={"REMOTE_ADDR": ip}, headers={"User-Agent": "tests"})


def guess(client: FlaskClient, email: str, *, times: int = 1, **how: Any) -> list[Any]:
    return [sign_in(client, email, "wrong horse battery", **how) for _ in range(times)]


def codes(answers: list[Any]) -> list[str]:
    return [answer.json["code"] for answer in answers]


def test_twelve_wrong_passwords_lock_out_whoever_sends_them_and_nobody_else(client: FlaskClient) -> None:
    ada = make_account()
    known = sign_in(client, ada.email).json["deviceToken"]
    told = codes(guess(client, ada.email, times=12))
    assert told == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"] * 7
    refused(sign_in(client, ada.email), 423, "ACCOUNT_LOCKED")
    assert client.get("/api/users/profile", headers=ada.headers).status_code == 200
    assert refresh(client, ada.refresh_token, **{"User-Agent": "tests"}).status_code == 200
    assert sign_in(client, ada.email, ip=ELSEWHERE).status_code == 200
    assert sign_in(client, ada.email, deviceToken=known).status_code == 200


def test_an_unknown_address_is_locked_like_a_known_one(client: FlaskClient) -> None:
    known, unknown = (guess(client, email, times=7) for email in (make_account().email, "nobody@example.com"))
    for one, other in zip(known, unknown, strict=True):
        assert one.json | {"requestId": ""} == other.json | {"requestId": ""}
        assert one.status_code == other.status_code
        assert one.headers.get("Retry-After") == other.headers.get("Retry-After")


@contextmanager
def no_hash_can_be_computed() -> Iterator[None]:
    room, taken = passwords._pool()._room, 0
    while room.acquire(blocking=False):
        taken += 1
    yield
    for _ in range(taken):
        room.release()


def test_while_it_is_locked_nothing_is_computed(client: FlaskClient) -> None:
    guess(client, "nobody@example.com", times=5)
    with no_hash_can_be_computed():
        assert codes(guess(client, "nobody@example.com")) == ["ACCOUNT_LOCKED"]
        assert codes(guess(client, "somebody@example.com")) == ["BUSY"]


class SlowlyCompared(str):
    """A hash whose comparison takes so long that others fail five times meanwhile."""

    def encode(self, *_: Any) -> bytes:
        for _ in range(5):
            with pytest.raises(InvalidCredentials):
                lockout.verify("wrong horse battery", None, lockout.network("ada@example.com", HERE))
        return super().encode()


@pytest.mark.usefixtures("app")
def test_the_right_guess_among_many_comes_too_late_when_five_were_wrong() -> None:
    hashed = SlowlyCompared(passwords.hash_password(PASSWORD))
    with pytest.raises(AccountLocked):
        lockout.verify(PASSWORD, hashed, lockout.network("ada@example.com", HERE))


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    guess(client, ada.email, times=5)
    for wait in (60, 120, 240, 480, 900, 900, 900):
        [locked] = guess(client, ada.email)
        assert (locked.json["code"], locked.headers["Retry-After"]) == ("ACCOUNT_LOCKED", str(wait))
        clock(wait + 1)
        assert codes(guess(client, ada.email)) == ["INVALID_CREDENTIALS"]


def test_a_quarter_of_an_hour_after_the_last_lock_all_is_forgotten(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    guess(client, ada.email, times=5)
    clock(60 + 15 * 60 + 1)
    assert codes(guess(client, ada.email, times=6)) == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]


def test_five_failures_lock_within_a_quarter_of_an_hour_only(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    for _ in range(12):
        assert codes(guess(client, ada.email)) == ["INVALID_CREDENTIALS"]
        clock(4 * 60)


def test_the_right_password_ends_the_lock_after_its_time_and_starts_anew(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    guess(client, ada.email, times=5)
    clock(61)
    assert sign_in(client, ada.email).status_code == 200
    assert codes(guess(client, ada.email, times=6)) == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]


def test_success_in_one_place_forgives_no_other(client: FlaskClient) -> None:
    ada = make_account()
    guess(client, ada.email, times=4)
    assert sign_in(client, ada.email, ip=ELSEWHERE).status_code == 200
    assert codes(guess(client, ada.email, times=2)) == ["INVALID_CREDENTIALS", "ACCOUNT_LOCKED"]


def test_one_address_locked_leaves_others_alone(client: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    guess(client, ada.email, times=6)
    assert sign_in(client, other.email).status_code == 200


def test_however_an_address_is_spelled_it_is_one(client: FlaskClient) -> None:
    ada = make_account()
    guess(client, ada.email, times=5)
    refused(sign_in(client, ada.email.upper()), 423, "ACCOUNT_LOCKED")


@pytest.mark.parametrize(
    ("ip", "is_the_same_place"),
    [("2001:db8:0:1::2", True), ("2001:db8:0:1:ffff::", True), ("2001:db8:0:2::1", False), (HERE, False)],
)
def test_an_ipv6_address_stands_for_its_network_of_64_bits(
    client: FlaskClient, ip: str, is_the_same_place: bool
) -> None:
    ada = make_account()
    guess(client, ada.email, times=5, ip="2001:db8:0:1::1")
    assert sign_in(client, ada.email, ip=ip).status_code == (423 if is_the_same_place else 200)


def test_an_ipv4_address_written_as_ipv6_is_the_same(client: FlaskClient) -> None:
    ada = make_account()
    guess(client, ada.email, times=5, ip=f"::ffff:{HERE}")
    assert sign_in(client, ada.email).status_code == 423


def fail(client: FlaskClient, email: str, numbers: range) -> None:
    """Failures, five in a row from each network."""
    for number in numbers:
        guess(client, email, ip=f"203.0.113.{number // 5}")


def exhaust(client: FlaskClient, email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close an address to all but known devices. Ten failures do it here: a test of its own has a hundred."""
    monkeypatch.setattr(lockout, "ALLOWED_IN_ALL", 10)
    fail(client, email, range(10))


def test_a_hundred_failures_an_hour_close_the_address_to_all_but_known_devices(
    client: FlaskClient, clock: Any
) -> None:
    ada = make_account()
    known = sign_in(client, ada.email).json["deviceToken"]
    fail(client, ada.email, range(99))
    assert sign_in(client, ada.email, ip=ELSEWHERE).status_code == 200
    fail(client, ada.email, range(99, 100))
    closed = sign_in(client, ada.email, ip=ELSEWHERE)
    refused(closed, 423, "ACCOUNT_LOCKED")
    assert 3500 < int(closed.headers["Retry-After"]) <= 3600
    assert sign_in(client, ada.email, ip=ELSEWHERE, deviceToken=known).status_code == 200
    assert client.get("/api/users/profile", headers=ada.headers).status_code == 200
    clock(3601)
    assert sign_in(client, ada.email, ip=ELSEWHERE).status_code == 200


def test_an_unknown_address_is_closed_alike(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    exhaust(client, "nobody@example.com", monkeypatch)
    refused(guess(client, "nobody@example.com", ip=ELSEWHERE)[0], 423, "ACCOUNT_LOCKED")


def test_whoever_proves_to_read_the_mail_is_let_in_from_there_for_an_hour(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = make_account()
    exhaust(client, ada.email, monkeypatch)
    lockout.prove(lockout.network(ada.email, ELSEWHERE))
    refused(sign_in(client, ada.email), 423, "ACCOUNT_LOCKED")
    assert codes(guess(client, ada.email, ip=ELSEWHERE)) == ["INVALID_CREDENTIALS"]
    assert [sign_in(client, ada.email, ip=ELSEWHERE).status_code for _ in range(2)] == [200, 200]


def test_a_known_device_is_counted_by_itself(client: FlaskClient) -> None:
    ada = make_account()
    known = sign_in(client, ada.email).json["deviceToken"]
    told = codes(guess(client, ada.email, times=6, deviceToken=known))
    assert told == ["INVALID_CREDENTIALS"] * 5 + ["ACCOUNT_LOCKED"]
    assert sign_in(client, ada.email).status_code == 200


def test_a_device_stays_the_same_from_sign_in_to_sign_in(client: FlaskClient) -> None:
    ada = make_account()
    tokens = [sign_in(client, ada.email).json["deviceToken"]]
    tokens += [sign_in(client, ada.email, deviceToken=tokens[0]).json["deviceToken"]]
    guess(client, ada.email, times=5, deviceToken=tokens[0])
    refused(sign_in(client, ada.email, deviceToken=tokens[1]), 423, "ACCOUNT_LOCKED")


@pytest.mark.parametrize(
    "spoil", ["{other}", "{token}x", "dhl1", "dhl1..", "", "dhr1.{rest}", "{facts}.9999999999.x"]
)
def test_a_token_of_nobodys_device_makes_no_known_one(client: FlaskClient, spoil: str) -> None:
    ada, other = make_account(), make_account()
    token, others = (sign_in(client, account.email).json["deviceToken"] for account in (ada, other))
    spoiled = spoil.format(other=others, token=token, rest=token[5:], facts=token.rpartition(".")[0])
    guess(client, ada.email, times=5)
    refused(sign_in(client, ada.email, deviceToken=spoiled), 423, "ACCOUNT_LOCKED")
    assert sign_in(client, ada.email, ip=ELSEWHERE, deviceToken=spoiled).status_code == 200


def test_a_device_is_known_for_ninety_days(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    known = sign_in(client, ada.email).json["deviceToken"]
    clock(89.9 * 86_400)
    guess(client, ada.email, times=5)
    assert sign_in(client, ada.email, deviceToken=known).status_code == 200
    clock(0.2 * 86_400)
    guess(client, ada.email, times=5)
    refused(sign_in(client, ada.email, deviceToken=known), 423, "ACCOUNT_LOCKED")


def test_what_is_counted_names_nobody_and_goes_by_itself(client: FlaskClient) -> None:
    ada = make_account()
    guess(client, ada.email, times=3)
    rows = list(mongo.database()[lockout.COLLECTION].find())
    assert len(rows) == 2
    assert all(row["expires_at"] for row in rows)
    assert ada.email not in str(rows) and ada.actor.user_id not in str(rows)


def test_a_sign_in_from_a_new_place_is_mailed(client: FlaskClient) -> None:
    email = make_account().email  # who has signed in once, from another place
    known = sign_in(client, email).json["deviceToken"]
    [mail] = Mail.objects(kind="new_sign_in")
    assert mail.to == email
    assert (mail.data["ip"], mail.data["userAgent"]) == (HERE, "tests")
    sign_in(client, email)
    sign_in(client, email, ip=ELSEWHERE, deviceToken=known)
    assert Mail.objects(kind="new_sign_in").count() == 1
    sign_in(client, email, ip="203.0.113.9")
    assert Mail.objects(kind="new_sign_in").count() == 2


def test_the_first_sign_in_after_a_sign_up_is_no_news_and_a_failed_one_neither(client: FlaskClient) -> None:
    ada = {"name": "Ada Lovelace", "email": "ada@example.com", "password": PASSWORD}
    client.post("/api/auth/signup", json=ada)
    guess(client, ada["email"])
    assert sign_in(client, ada["email"]).status_code == 200
    guess(client, ada["email"], ip=ELSEWHERE)
    assert Mail.objects.count() == 0
    assert sign_in(client, ada["email"], ip=ELSEWHERE).status_code == 200
    assert Mail.objects.count() == 1


def test_an_account_that_slept_is_told_of_a_new_place_too(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    mongo.database()["sessions"].delete_many({})  # as they go a day after their end
    assert sign_in(client, ada.email).status_code == 200
    assert Mail.objects(kind="new_sign_in").count() == 1
