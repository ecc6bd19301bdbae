"""One's sessions: seen, ended one by one, and kept in step with their use."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.auth import sessions
from devicehub.auth.errors import TokenRevoked
from devicehub.core import redis
from devicehub.mail.models import Mail
from tests.auth.test_routes import refresh
from tests.factories import Account, join, log_in, make_account

SESSIONS = "/api/auth/sessions"
SWITCH = "/api/auth/switch-organization"
PROFILE = "/api/users/profile"
UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"


def listed(client: FlaskClient, account: Account, query: str = "") -> Any:
    return client.get(f"{SESSIONS}{query}", headers=account.headers).json


def end(client: FlaskClient, account: Account, session_id: str | None) -> Any:
    return client.delete(f"{SESSIONS}/{session_id}", headers=account.headers)


def test_a_stranger_has_no_sessions(client: FlaskClient) -> None:
    for answer in (client.get(SESSIONS), client.delete(f"{SESSIONS}/{UNKNOWN}")):
        assert (answer.status_code, answer.json["code"]) == (401, "AUTHENTICATION_REQUIRED")


def test_one_sees_ones_own_sessions_and_nobody_elses(client: FlaskClient) -> None:
    ada, _ = make_account(), make_account()
    elsewhere = log_in(ada.email)
    answer = listed(client, ada)
    assert answer["pagination"] == {
        "page": 1, "limit": 20, "total": 2, "pages": 1, "hasNext": False, "hasPrev": False
    }  # fmt: skip
    assert {item["id"]: item["current"] for item in answer["items"]} == {
        ada.actor.session_id: True,
        elsewhere.actor.session_id: False,
    }
    assert {(item["ip"], item["userAgent"]) for item in answer["items"]} == {("127.0.0.1", "tests")}
    assert set(answer["items"][0]) == {"id", "ip", "userAgent", "createdAt", "lastUsedAt", "current"}


def test_sessions_come_in_pages_the_one_used_last_first(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    later = []
    for _ in range(2):
        clock(1)
        later.append(log_in(ada.email).actor.session_id)
    pages = [listed(client, ada, f"?limit=2&page={page}")["items"] for page in (1, 2)]
    assert [[item["id"] for item in page] for page in pages] == [later[::-1], [ada.actor.session_id]]


def test_what_has_ended_or_lapsed_is_not_listed(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    gone = log_in(ada.email)
    client.post("/api/auth/logout", headers=gone.headers)
    assert [item["id"] for item in listed(client, ada)["items"]] == [ada.actor.session_id]
    clock(8 * 86_400)
    fresh = log_in(ada.email)
    assert [item["id"] for item in listed(client, fresh)["items"]] == [fresh.actor.session_id]


def test_a_session_that_is_ended_has_ended_at_once(client: FlaskClient, told: Any) -> None:
    ada = make_account()
    other = log_in(ada.email)
    assert client.get(PROFILE, headers=other.headers).status_code == 200
    assert end(client, ada, other.actor.session_id).status_code == 204
    assert client.get(PROFILE, headers=other.headers).json["code"] == "TOKEN_REVOKED"
    assert refresh(client, other.refresh_token).json["code"] == "INVALID_REFRESH_TOKEN"
    assert client.get(PROFILE, headers=ada.headers).status_code == 200
    [ended] = [event.data for event in told if event.name == "session.ended"]
    assert ended == {"session_id": other.actor.session_id, "user_id": ada.actor.user_id, "reason": "ended"}


def test_one_may_end_the_session_one_asks_with(client: FlaskClient) -> None:
    ada = make_account()
    assert end(client, ada, ada.actor.session_id).status_code == 204
    assert client.get(PROFILE, headers=ada.headers).json["code"] == "TOKEN_REVOKED"


def test_a_session_of_somebody_else_is_as_unknown_as_one_that_never_was_or_has_ended(client: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    gone = log_in(ada.email)
    end(client, ada, gone.actor.session_id)
    for session_id in (other.actor.session_id, gone.actor.session_id, UNKNOWN, "x"):
        answer = end(client, ada, session_id)
        assert (answer.status_code, answer.json["code"]) == (404, "SESSION_NOT_FOUND")
    assert client.get(PROFILE, headers=other.headers).status_code == 200


def test_use_moves_the_time_of_last_use_once_a_minute_at_most(client: FlaskClient, clock: Any) -> None:
    ada = make_account()

    def last_use() -> datetime:
        redis.current().client.delete(f"sess:{ada.actor.session_id}")  # as it goes by itself after half a minute
        [session] = listed(client, ada)["items"]
        return datetime.fromisoformat(session["lastUsedAt"])

    began = last_use()
    clock(59)
    assert last_use() == began
    clock(2)
    moved = last_use()
    assert moved - began > timedelta(minutes=1)
    clock(59)
    assert last_use() == moved


def switch(client: FlaskClient, account: Account, organization_id: Any) -> Any:
    headers = account.headers | {"User-Agent": "tests"}
    return client.post(SWITCH, json={"organizationId": organization_id}, headers=headers)


def organization_of(client: FlaskClient, tokens: Any) -> str:
    """Which organization a pair of tokens speaks for: where its devices are registered."""
    headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
    made = client.post("/api/devices", json={"name": "Boiler", "type": "sensor"}, headers=headers)
    return str(made.json["organizationId"])


def test_a_stranger_switches_nothing(client: FlaskClient) -> None:
    answer = client.post(SWITCH, json={"organizationId": UNKNOWN})
    assert (answer.status_code, answer.json["code"]) == (401, "AUTHENTICATION_REQUIRED")


def test_switching_renews_the_session_in_the_other_organization_and_there_it_stays(client: FlaskClient) -> None:
    ada, theirs = make_account(), make_account().actor.organization_id
    join(ada, theirs, role="operator")
    switched = switch(client, ada, theirs)
    assert switched.status_code == 200
    assert (switched.json["organization"]["id"], switched.json["organization"]["role"]) == (theirs, "operator")
    assert organization_of(client, switched.json) == theirs
    again = refresh(client, switched.json["refreshToken"], **{"User-Agent": "tests"})
    assert again.json["organization"]["id"] == organization_of(client, again.json) == theirs
    assert len(listed(client, ada)["items"]) == 1


def test_an_access_token_of_before_speaks_for_its_own_organization_to_its_end(client: FlaskClient) -> None:
    ada, theirs = make_account(), make_account().actor.organization_id
    join(ada, theirs, role="operator")
    switch(client, ada, theirs)
    assert organization_of(client, {"accessToken": ada.access_token}) == ada.actor.organization_id


def test_switching_uses_the_refresh_token_up(client: FlaskClient, clock: Any) -> None:
    ada = make_account()
    switched = switch(client, ada, ada.actor.organization_id).json
    twin = refresh(client, ada.refresh_token, **{"User-Agent": "tests"})
    assert twin.json["refreshToken"] == switched["refreshToken"]
    clock(11)
    reused = refresh(client, ada.refresh_token, **{"User-Agent": "tests"})
    assert reused.json["code"] == "REFRESH_TOKEN_REUSED"


def test_a_strangers_organization_is_as_unknown_as_one_that_never_was(client: FlaskClient) -> None:
    ada, other = make_account(), make_account()
    for organization_id in (other.actor.organization_id, UNKNOWN, "x", ""):
        answer = switch(client, ada, organization_id)
        assert (answer.status_code, answer.json["code"]) == (404, "ORGANIZATION_NOT_FOUND")
    assert refresh(client, ada.refresh_token).status_code == 200


def test_a_session_that_ends_meanwhile_is_not_switched(client: FlaskClient) -> None:
    ada = make_account()
    client.post("/api/auth/logout", headers=ada.headers)
    with pytest.raises(TokenRevoked):
        sessions.switch(ada.actor, ada.actor.organization_id, ip=None, user_agent=None)


def test_revoking_a_token_is_told(client: FlaskClient, told: Any) -> None:
    ada = make_account()
    other = log_in(ada.email)
    client.post("/api/auth/revoke", headers=ada.headers, json={"token": other.access_token})
    [event] = [event for event in told if event.name == "token.revoked"]
    assert event.data == {"session_id": other.actor.session_id, "token_id": other.actor.token_id}
    assert event.actor.user_id == ada.actor.user_id


def test_a_reused_refresh_token_is_mailed_to_its_owner_once(client: FlaskClient) -> None:
    ada = make_account()
    assert refresh(client, ada.refresh_token).status_code == 200
    for _ in range(2):
        refresh(client, ada.refresh_token, **{"User-Agent": "elsewhere"})
    [mail] = Mail.objects(kind="refresh_reused")
    assert (mail.to, str(mail.user_id)) == (ada.email, ada.actor.user_id)
    assert (mail.data["ip"], mail.data["userAgent"]) == ("127.0.0.1", "elsewhere")
