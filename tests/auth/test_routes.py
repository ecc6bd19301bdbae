"""The front door, from outside."""

from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from tests.factories import PASSWORD, Account, log_in, make_account

ADA = {"name": "Ada Lovelace", "email": "ada@example.com", "password": PASSWORD}


def sign_up(client: FlaskClient, **changes: Any) -> Any:
    return client.post("/api/auth/signup", json=ADA | changes)


def sign_in(client: FlaskClient, **changes: Any) -> Any:
    return client.post("/api/auth/login", json={"email": ADA["email"], "password": PASSWORD} | changes)


def refresh(client: FlaskClient, token: str, **headers: str) -> Any:
    return client.post("/api/auth/refresh", json={"refreshToken": token}, headers=headers)


def test_signing_up_makes_an_account_and_the_organization_it_owns(client: FlaskClient) -> None:
    answer = sign_up(client)
    assert answer.status_code == 201
    assert answer.json["user"]["email"] == "ada@example.com"
    assert answer.json["user"]["role"] == "user"
    assert answer.json["organization"]["role"] == "owner"
    assert "password" not in answer.text


def test_an_address_signs_up_once_however_it_is_spelled(client: FlaskClient) -> None:
    sign_up(client)
    again = sign_up(client, email="ADA@Example.com")
    assert (again.status_code, again.json["code"]) == (409, "EMAIL_ALREADY_EXISTS")


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "password123",
        "ada lovelace",
        "Lovelace1815",
        "devicehub-2026",
        "ada@example.com",
        "é" * 40,
        "sunshine1",
    ],
)
def test_a_password_that_is_short_common_long_or_ones_own_is_refused(client: FlaskClient, password: str) -> None:
    answer = sign_up(client, password=password)
    assert answer.status_code == 422
    assert list(answer.json["errors"]) == ["password"]


def test_a_sign_up_cannot_choose_its_role(client: FlaskClient) -> None:
    assert sign_up(client, role="admin").status_code == 403
    accepted = sign_up(client, role="user")
    assert accepted.status_code == 201
    assert accepted.json["user"]["role"] == "user"


def test_both_spellings_of_a_key_are_accepted_but_not_at_once(client: FlaskClient) -> None:
    assert sign_up(client, organization_name="Engines").json["organization"]["name"] == "Engines"
    twice = sign_up(client, email="b@example.com", organization_name="A1", organizationName="B1")
    assert (twice.status_code, list(twice.json["errors"])) == (422, ["organizationName"])


def test_unknown_keys_are_refused_and_named(client: FlaskClient) -> None:
    answer = sign_up(client, isAdmin=True)
    assert (answer.status_code, list(answer.json["errors"])) == (422, ["isAdmin"])


def test_signing_in_answers_a_pair_of_tokens_that_opens_the_profile(client: FlaskClient) -> None:
    sign_up(client)
    answer = sign_in(client)
    assert answer.status_code == 200
    assert answer.json["tokenType"] == "Bearer"
    assert (answer.json["expiresIn"], answer.json["refreshExpiresIn"]) == (900, 604_800)
    headers = {"Authorization": f"Bearer {answer.json['accessToken']}"}
    assert client.get("/api/users/profile", headers=headers).json["email"] == ADA["email"]


def test_a_refresh_token_is_good_no_longer_than_its_session(client: FlaskClient, using: Any, clock: Any) -> None:
    sign_up(client)
    with using(session_max_age=3600):
        granted = sign_in(client).json
    assert 3595 <= granted["refreshExpiresIn"] <= 3600
    clock(600)
    assert 2995 <= refresh(client, granted["refreshToken"]).json["refreshExpiresIn"] <= 3000


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(client: FlaskClient) -> None:
    sign_up(client)
    wrong = sign_in(client, password="wrong horse battery")
    unknown = sign_in(client, email="nobody@example.com")
    assert wrong.status_code == unknown.status_code == 401
    strip = {"requestId": ""}
    assert wrong.json | strip == unknown.json | strip
    assert wrong.json["code"] == "INVALID_CREDENTIALS"


def test_a_password_longer_than_bcrypt_reads_never_matches_by_its_beginning(client: FlaskClient) -> None:
    longest = "x1y2z3" * 12
    assert sign_up(client, password=longest).status_code == 201
    assert sign_in(client, password=longest + "more").status_code == 401
    assert sign_in(client, password=longest).status_code == 200


@pytest.mark.parametrize("email", [{"$gt": ""}, {"$ne": None}, ["ada@example.com"], 5, None])
def test_an_operator_in_place_of_an_address_is_refused(client: FlaskClient, email: Any) -> None:
    sign_up(client)
    assert sign_in(client, email=email).status_code == 422


def test_a_session_tells_nothing_of_its_neighbours_names(client: FlaskClient) -> None:
    """The refresh limit counts by it: who could guess it could use up another's."""
    ada = make_account()
    one, other = (ObjectId(log_in(ada.email).actor.session_id).binary for _ in range(2))
    assert one[4:9] != other[4:9]  # the part that one process's ids have in common


def test_a_refresh_token_is_exchanged_once_and_its_successor_works(client: FlaskClient) -> None:
    ada = make_account()
    second = refresh(client, ada.refresh_token, **{"User-Agent": "tests"})
    assert second.status_code == 200
    third = refresh(client, second.json["refreshToken"], **{"User-Agent": "tests"})
    assert third.status_code == 200
    assert len({ada.refresh_token, second.json["refreshToken"], third.json["refreshToken"]}) == 3


def test_a_twin_within_ten_seconds_gets_the_same_successor(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    browser = {"User-Agent": "tests"}
    first = refresh(client, ada.refresh_token, **browser)
    clock(9)
    twin = refresh(client, ada.refresh_token, **browser)
    assert twin.status_code == 200
    assert twin.json["refreshToken"] == first.json["refreshToken"]


def test_one_behind_after_ten_seconds_ends_the_family(client: FlaskClient, clock: Any, told: Any) -> None:
    ada = make_account()
    browser = {"User-Agent": "tests"}
    first = refresh(client, ada.refresh_token, **browser)
    clock(11)
    reused = refresh(client, ada.refresh_token, **browser)
    assert (reused.status_code, reused.json["code"]) == (401, "REFRESH_TOKEN_REUSED")
    assert refresh(client, first.json["refreshToken"], **browser).json["code"] == "INVALID_REFRESH_TOKEN"
    access = {"Authorization": f"Bearer {first.json['accessToken']}"}
    assert client.get("/api/users/profile", headers=access).json["code"] == "TOKEN_REVOKED"
    assert "session.reused" in [event.name for event in told]


def test_one_behind_from_another_browser_ends_the_family_at_once(client: FlaskClient) -> None:
    ada = make_account()
    refresh(client, ada.refresh_token, **{"User-Agent": "tests"})
    thief = refresh(client, ada.refresh_token, **{"User-Agent": "elsewhere"})
    assert thief.json["code"] == "REFRESH_TOKEN_REUSED"


def test_two_behind_ends_the_family_however_soon(client: FlaskClient) -> None:
    ada = make_account()
    browser = {"User-Agent": "tests"}
    second = refresh(client, ada.refresh_token, **browser).json["refreshToken"]
    refresh(client, second, **browser)
    assert refresh(client, ada.refresh_token, **browser).json["code"] == "REFRESH_TOKEN_REUSED"


@pytest.mark.parametrize("spoil", ["dhr1.x.y", "", "dhr2.{rest}", "{token}x", "{token}.0", "dhr1.{sid}.9.{mac}"])
def test_a_forged_refresh_token_is_refused_and_revokes_nothing(client: FlaskClient, spoil: str) -> None:
    ada = make_account()
    _, sid, _, mac = ada.refresh_token.split(".")
    forged = spoil.format(token=ada.refresh_token, rest=ada.refresh_token[5:], sid=sid, mac=mac)
    assert refresh(client, forged).json["code"] == "INVALID_REFRESH_TOKEN"
    assert refresh(client, ada.refresh_token, **{"User-Agent": "tests"}).status_code == 200


def test_a_session_ends_seven_days_after_its_last_use_and_thirty_after_its_first(
    client: FlaskClient, clock: Any
) -> None:
    ada, day = make_account(), 86_400
    token = ada.refresh_token
    for _ in range(4):
        clock(6.9 * day)
        token = refresh(client, token, **{"User-Agent": "tests"}).json["refreshToken"]
    clock(3 * day)
    assert refresh(client, token).json["code"] == "INVALID_REFRESH_TOKEN"
    lazy = log_in(ada.email)
    clock(7.1 * day)
    assert refresh(client, lazy.refresh_token).json["code"] == "INVALID_REFRESH_TOKEN"


def test_the_least_recently_used_session_beyond_twenty_ends(client: FlaskClient) -> None:
    first = make_account()
    others = [log_in(first.email) for _ in range(20)]
    assert client.get("/api/users/profile", headers=first.headers).json["code"] == "TOKEN_REVOKED"
    assert client.get("/api/users/profile", headers=others[0].headers).status_code == 200


def test_logging_out_kills_both_tokens_at_once_and_may_be_repeated(client: FlaskClient) -> None:
    ada = make_account()
    for _ in range(2):
        assert client.post("/api/auth/logout", headers=ada.headers, json={}).status_code == 204
    assert client.get("/api/users/profile", headers=ada.headers).json["code"] == "TOKEN_REVOKED"
    assert refresh(client, ada.refresh_token).json["code"] == "INVALID_REFRESH_TOKEN"


def test_a_refresh_token_alone_logs_out(client: FlaskClient) -> None:
    ada = make_account()
    for _ in range(2):
        assert client.post("/api/auth/logout", json={"refreshToken": ada.refresh_token}).status_code == 204
    assert client.get("/api/users/profile", headers=ada.headers).status_code == 401


def test_a_stranger_cannot_log_anybody_out(client: FlaskClient) -> None:
    assert client.post("/api/auth/logout", json={}).json["code"] == "AUTHENTICATION_REQUIRED"


def test_logging_out_everywhere_ends_every_session_of_ones_own_only(client: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    elsewhere = log_in(ada.email)
    answer = client.post("/api/auth/logout-all", headers=ada.headers)
    assert answer.json == {"revokedSessions": 2}
    for ended in (ada, elsewhere):
        assert client.get("/api/users/profile", headers=ended.headers).status_code == 401
    assert client.get("/api/users/profile", headers=other.headers).status_code == 200


def test_revoking_an_access_token_leaves_its_session_alive(client: FlaskClient) -> None:
    ada = make_account()
    renewed = refresh(client, ada.refresh_token, **{"User-Agent": "tests"}).json
    fresh = {"Authorization": f"Bearer {renewed['accessToken']}"}
    revoke = client.post("/api/auth/revoke", headers=fresh, json={"token": ada.access_token})
    assert revoke.status_code == 204
    assert client.get("/api/users/profile", headers=ada.headers).json["code"] == "TOKEN_REVOKED"
    assert client.get("/api/users/profile", headers=fresh).status_code == 200


def test_revoking_answers_alike_for_ones_own_a_dead_and_a_strangers_token(client: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    mine = log_in(ada.email)
    for token in (mine.refresh_token, mine.refresh_token, other.refresh_token, other.access_token, "nonsense"):
        answer = client.post("/api/auth/revoke", headers=ada.headers, json={"token": token})
        assert (answer.status_code, answer.data) == (204, b"")
    assert client.get("/api/users/profile", headers=mine.headers).status_code == 401
    assert client.get("/api/users/profile", headers=other.headers).status_code == 200


def test_an_access_token_lives_fifteen_minutes(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    clock(899)
    assert client.get("/api/users/profile", headers=ada.headers).status_code == 200
    clock(10)
    assert client.get("/api/users/profile", headers=ada.headers).json["code"] == "TOKEN_EXPIRED"


@pytest.mark.parametrize("path", ["/api/auth/logout-all", "/api/auth/revoke"])
def test_anonymous_gets_401_before_anything_else(client: FlaskClient, path: str) -> None:
    answer = client.post(path, data=b"{nonsense", content_type="text/plain")
    assert (answer.status_code, answer.json["code"]) == (401, "AUTHENTICATION_REQUIRED")


def test_sessions_belong_to_their_account(client: FlaskClient) -> None:
    one: Account = make_account()
    assert client.get("/api/users/profile", headers=one.headers).json["id"] == one.actor.user_id
