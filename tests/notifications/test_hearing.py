"""What is news for one person: of the safety of their account, and invitations."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.auth import revocation
from devicehub.core import events
from devicehub.core.events import Event
from tests.conftest import LiveServer
from tests.factories import PASSWORD, Account, email_token, log_in, make_account
from tests.realtime.clients import socket_of, stream_of

AT = "/api/notifications"
ClientOf = Callable[[Account], FlaskClient]


@pytest.fixture
def news_of(client_of: ClientOf) -> Callable[[Account], list[Any]]:
    """All that somebody was told, oldest first."""
    return lambda account: list(reversed(client_of(account).get(AT).json["items"]))


News = Callable[[Account], list[Any]]


def steal(client: FlaskClient, account: Account) -> None:
    """Use a refresh token that was exchanged."""
    for browser in ("tests", "elsewhere"):
        body = {"refreshToken": account.refresh_token}
        client.post("/api/auth/refresh", json=body, headers={"User-Agent": browser})


def test_a_refresh_token_that_was_used_twice(client: FlaskClient, news_of: News) -> None:
    victim = make_account()
    session_id = victim.actor.session_id
    steal(client, victim)
    [item] = news_of(log_in(victim.email))
    assert (item["type"], item["organizationId"]) == ("security", None)
    assert item["data"] == {"reason": "refresh_reused", "sessionId": session_id}


def test_a_sign_in_from_a_new_place_and_no_other(client: FlaskClient, news_of: News) -> None:
    ada = make_account()
    body = {"email": ada.email, "password": PASSWORD}
    for _ in range(2):
        client.post("/api/auth/login", json=body, headers={"User-Agent": "elsewhere"})
    [item] = news_of(ada)
    assert item["data"]["reason"] == "new_sign_in"
    assert (item["data"]["ip"], item["data"]["userAgent"]) == ("127.0.0.1", "elsewhere")


def test_a_new_password(client_of: ClientOf, news_of: News) -> None:
    ada = make_account()
    change = {"currentPassword": PASSWORD, "newPassword": "staple battery horse"}
    answer = client_of(ada).post("/api/auth/password/change", json=change)
    ada.access_token = answer.json["accessToken"]
    assert [item["data"]["reason"] for item in news_of(ada)] == ["password_changed"]


def test_a_new_address(client: FlaskClient, news_of: News) -> None:
    ada = make_account()
    assert client.post("/api/auth/email/confirm", json={"token": email_token(ada)}).status_code < 300
    assert [item["data"]["reason"] for item in news_of(ada)] == ["email_changed"]


def test_a_session_that_another_one_ended(client_of: ClientOf, news_of: News) -> None:
    ada = make_account()
    other = log_in(ada.email).actor.session_id
    client_of(ada).delete(f"/api/auth/sessions/{other}")
    assert [item["data"] for item in news_of(ada)] == [{"reason": "session_ended", "sessionId": other}]


def test_signing_out_everywhere_is_told_once_and_signing_out_is_no_news(
    client_of: ClientOf, news_of: News
) -> None:
    ada = make_account()
    client_of(log_in(ada.email)).post("/api/auth/logout")
    log_in(ada.email)
    assert client_of(ada).post("/api/auth/logout-all").json == {"revokedSessions": 2}
    [item] = news_of(log_in(ada.email))
    assert (item["data"]["reason"], item["data"]["sessions"]) == ("logged_out_everywhere", 2)


def test_the_end_of_everyones_sessions(news_of: News) -> None:
    ada = make_account()
    list(revocation.end_everyones())
    assert [item["data"]["reason"] for item in news_of(log_in(ada.email))] == ["session_revoked_all"]


def test_an_invitation_of_somebody_who_has_an_account(client_of: ClientOf, news_of: News) -> None:
    host, guest, bystander = make_account(name="Grace Hopper"), make_account(), make_account()
    at = f"/api/organizations/{host.actor.organization_id}/invitations"
    made = client_of(host).post(at, json={"email": guest.email.upper(), "role": "operator"})
    client_of(host).post(at, json={"email": "nobody@example.com", "role": "viewer"})
    [item] = news_of(guest)
    assert item["data"]["invitationId"] == made.json["id"]
    assert (item["type"], item["organizationId"]) == ("invitation", host.actor.organization_id)
    assert "Grace Hopper" in item["message"] and "operator" in item["message"]
    assert news_of(bystander) == news_of(host) == []


def test_an_event_that_is_heard_twice_is_news_once(client_of: ClientOf, news_of: News, told: list[Event]) -> None:
    ada = make_account()
    client_of(ada).delete(f"/api/auth/sessions/{log_in(ada.email).actor.session_id}")
    [event] = [event for event in told if event.name == "session.ended"]
    events.tell(event)
    assert len(news_of(ada)) == 1


def test_who_listens_hears_it_in_either_way_and_nobody_else_does(
    client: FlaskClient, live_server: LiveServer
) -> None:
    victim = make_account()
    listening = log_in(victim.email)
    other = make_account(role="admin", organization_id=victim.actor.organization_id)
    with (
        socket_of(live_server.url, listening) as sockets,
        socket_of(live_server.url, other) as others,
        stream_of(live_server.url, listening) as stream,
    ):
        steal(client, victim)
        heard = sockets.wait_for("notification")
        assert stream.wait_for("notification") == heard
        assert others.named("notification") == []
    kept = client.get(AT, headers=listening.headers).json["items"][0]
    assert heard["notificationId"] == kept["id"]
    assert {name: heard[name] for name in ("type", "title", "message", "data")} == {
        name: kept[name] for name in ("type", "title", "message", "data")
    }
