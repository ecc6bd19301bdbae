"""Ends: of a token, a session, a membership. They end sockets and streams in every process, and say why."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
from bson import ObjectId

from devicehub.auth import revocation, standing
from devicehub.core.events import emit
from devicehub.organizations.models import Organization
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, join, log_in, make_account, make_device
from tests.realtime.clients import Socket, Stream, socket_of, stream_of
from tests.realtime.conftest import hears_again

pytestmark = pytest.mark.usefixtures("app")

# What is promised.
WITHIN_S = 5

Pair = tuple[LiveServer, LiveServer]
Listener = Socket | Stream


@pytest.fixture
def everyone_of(pair: Pair) -> Iterator[Callable[[Account], list[Listener]]]:
    """A socket and a stream of somebody in each of two processes."""
    with ExitStack() as stack:

        def open_all(account: Account) -> list[Listener]:
            kinds: list[Any] = [socket_of, stream_of]
            return [stack.enter_context(kind(server.url, account)) for kind in kinds for server in pair]

        yield open_all


def has_ended(listener: Listener) -> bool:
    return listener.ended if isinstance(listener, Stream) else not listener.client.connected


def assert_all_end(everyone: list[Listener], event: str, reason: str) -> None:
    wait_until(lambda: all(listener.named(event) for listener in everyone), WITHIN_S, f"{event} everywhere")
    wait_until(lambda: all(has_ended(listener) for listener in everyone), WITHIN_S, "all to end")
    assert [listener.named(event) for listener in everyone] == [[{"reason": reason}]] * len(everyone)


def leave(account: Account, organization_id: str, *, hint: bool) -> None:
    user_id = account.actor.user_id
    gone = {"$pull": {"members": {"user_id": ObjectId(user_id)}}}
    Organization._get_collection().update_one({"_id": ObjectId(organization_id)}, gone)
    standing.forget_user(user_id)
    if hint:
        emit("member.removed", account.actor, user_id=user_id, organization_id=organization_id, role="viewer")


# Sessions and tokens


def test_a_session_that_ends_ends_its_connections_and_no_others(
    everyone_of: Callable[[Account], list[Listener]],
) -> None:
    account = make_account()
    theirs, others = everyone_of(account), everyone_of(log_in(account.email))
    revocation.end(account.actor.session_id or "")
    assert_all_end(theirs, "session-ended", "logout")
    device = make_device(account.actor)
    for listener in others:
        assert listener.wait_for("device-update")["deviceId"] == device["id"]


def test_ending_all_sessions_ends_all_connections(everyone_of: Callable[[Account], list[Listener]]) -> None:
    account = make_account()
    everyone = everyone_of(account) + everyone_of(log_in(account.email))
    revocation.end_all(account.actor.user_id)
    assert_all_end(everyone, "session-ended", "logout_all")


def test_a_revoked_token_ends_its_connections(everyone_of: Callable[[Account], list[Listener]]) -> None:
    account = make_account()
    everyone = everyone_of(account)
    revocation.revoke_token(account.actor, account.actor.session_id or "", account.actor.token_id or "")
    assert_all_end(everyone, "session-ended", "token_revoked")


def test_a_revoked_token_ends_its_connections_also_where_nobody_says_so(
    everyone_of: Callable[[Account], list[Listener]], monkeypatch: pytest.MonkeyPatch
) -> None:
    account = make_account()
    everyone = everyone_of(account)
    monkeypatch.setattr(revocation, "emit", lambda *_, **__: None)  # as if killed before it could
    revocation.revoke_token(account.actor, account.actor.session_id or "", account.actor.token_id or "")
    wait_until(lambda: all(map(has_ended, everyone)), WITHIN_S + 1, "all to end")


def test_a_token_that_is_over_ends_its_connections_but_not_one_that_was_renewed(
    everyone_of: Callable[[Account], list[Listener]], using: Callable[..., AbstractContextManager[None]]
) -> None:
    account = make_account()
    with using(access_token_ttl=4):
        short = log_in(account.email)
    everyone = everyone_of(short)
    renewed = everyone.pop(0)
    assert isinstance(renewed, Socket)
    assert renewed.call("authenticate", {"token": account.access_token})["ok"]
    wait_until(lambda: all(one.named("token-expired") for one in everyone), 4 + WITHIN_S, "the token's end")
    assert_all_end(everyone, "token-expired", "token_expired")
    make_device(account.actor)
    renewed.wait_for("device-update")


# Memberships


@pytest.mark.parametrize("hint", [True, False])
def test_who_is_removed_from_their_active_organization_is_ended(
    everyone_of: Callable[[Account], list[Listener]], hint: bool
) -> None:
    organization_id = make_account().actor.organization_id
    account = make_account(role="viewer", organization_id=organization_id)
    everyone = everyone_of(account)
    leave(account, organization_id, hint=hint)
    assert_all_end(everyone, "session-ended", "member_removed" if hint else "ended")


def test_who_is_removed_from_another_organization_stays_and_hears_no_more_of_it(live_server: LiveServer) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    theirs = make_device(other.actor)
    with socket_of(live_server.url, account) as socket:
        assert socket.call("join-organization", {"organizationId": other.actor.organization_id})["ok"]
        leave(account, other.actor.organization_id, hint=True)
        told = socket.wait_for("left-organization")
        assert told == {"organizationId": other.actor.organization_id, "reason": "member_removed"}
        emit("device.deleted", other.actor, device_id=theirs["id"], status="active", presence="online", changes={})
        own = make_device(account.actor)
        assert socket.wait_for("device-update")["deviceId"] == own["id"]


def test_an_organization_that_is_deleted_ends_who_is_in_it(
    everyone_of: Callable[[Account], list[Listener]],
) -> None:
    account = make_account()
    everyone = everyone_of(account)
    organization_id = account.actor.organization_id
    Organization.objects(id=ObjectId(organization_id)).delete()
    standing.forget_user(account.actor.user_id)
    emit("organization.deleted", account.actor, organization_id=organization_id)
    assert_all_end(everyone, "session-ended", "organization_deleted")


def test_another_role_ends_nothing_and_counts_at_once(live_server: LiveServer) -> None:
    organization_id = make_account().actor.organization_id
    account = make_account(role="viewer", organization_id=organization_id)
    with socket_of(live_server.url, account) as socket:
        members = Organization.objects(
            id=ObjectId(organization_id), members__user_id=ObjectId(account.actor.user_id)
        )
        members.update_one(set__members__S__role="admin")
        standing.forget_user(account.actor.user_id)
        emit("member.role_changed", account.actor, user_id=account.actor.user_id, organization_id=organization_id)
        join_again = {"organizationId": organization_id}
        answer = wait_until(lambda: (told := socket.call("join-organization", join_again))["ok"] and told)
        assert answer["role"] == "admin"


# Outages


def test_without_redis_an_end_is_seen_in_the_database(
    pair: Pair, everyone_of: Callable[[Account], list[Listener]], servers: Servers
) -> None:
    account = make_account()
    everyone = everyone_of(account)
    servers.redis.stop()
    try:
        revocation.end(account.actor.session_id or "")
        wait_until(lambda: all(one.named("session-ended") for one in everyone), WITHIN_S + 1, "the end")
    finally:
        servers.restart_redis()
    wait_until(lambda: all(hears_again(server) for server in pair), 20, "both processes to hear again")


def test_without_the_database_nobody_is_ended(live_server: LiveServer, servers: Servers) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket, stream_of(live_server.url, account) as stream:
        standing.forget_user(account.actor.user_id)
        servers.mongod.stop()
        try:
            emit("user.password_changed", account.actor, user_id=account.actor.user_id)
            emit("device.deleted", account.actor, device_id="d", status="active", presence="online", changes={})
            for listener in (socket, stream):
                listener.wait_for("device-update")
        finally:
            servers.restart_mongod()
        assert not socket.named("session-ended") and not stream.named("session-ended")
        wait_until(lambda: socket.call("leave-organization", {"organizationId": "x"})["ok"], 15, "the database")
        assert socket.client.connected and not stream.ended
