"""Ends: of a token, a session, a membership. They end sockets and streams in every process, and say why."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pymongo
import pytest
from bson import ObjectId

from devicehub.auth import revocation, standing
from devicehub.core.events import emit
from devicehub.organizations.models import Organization
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, join, log_in, make_account, make_device
from tests.realtime.clients import Socket, Stream, socket_of, stream_of
from tests.realtime.conftest import hears_again

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.xdist_group("pair")]

# What is promised.
WITHIN_S = 5

# What is said to those whose turn it was in the very moment, before the hint came: a round does not know why.
FOUND = [{"reason": "ended"}]

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
    told = [listener.named(event) for listener in everyone]
    assert [{"reason": reason}] in told
    assert all(words in ([{"reason": reason}], FOUND) for words in told), told


def at(organization: Account, *further: str) -> str:
    """Where an owner's organization is, or something in it."""
    return "/".join(["/api/organizations", organization.actor.organization_id, *further])


def ask(server: LiveServer, account: Account, method: str, path: str, **body: Any) -> None:
    answer = httpx.request(method, server.url + path, json=body or None, headers=account.headers, timeout=10)
    assert answer.is_success, answer.text


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


def test_who_is_removed_from_their_active_organization_is_ended_and_nobody_else(
    pair: Pair, everyone_of: Callable[[Account], list[Listener]]
) -> None:
    owner = make_account()
    removed, other = (make_account(role="viewer", organization_id=owner.actor.organization_id) for _ in range(2))
    theirs, others = everyone_of(removed), everyone_of(other) + everyone_of(owner)
    ask(pair[0], owner, "DELETE", at(owner, "members", removed.actor.user_id))
    assert_all_end(theirs, "session-ended", "member_removed")
    device = make_device(owner.actor)
    for listener in others:
        assert listener.wait_for("device-update")["deviceId"] == device["id"]
    assert not any(listener.named("device-update") for listener in theirs)


def test_who_leaves_their_active_organization_is_ended(
    pair: Pair, everyone_of: Callable[[Account], list[Listener]]
) -> None:
    owner = make_account()
    account = make_account(role="admin", organization_id=owner.actor.organization_id)
    everyone = everyone_of(account)
    ask(pair[1], account, "DELETE", at(owner, "members", account.actor.user_id))
    assert_all_end(everyone, "session-ended", "member_removed")


def test_a_membership_that_ends_without_a_word_ends_its_connections_too(
    everyone_of: Callable[[Account], list[Listener]],
) -> None:
    organization_id = make_account().actor.organization_id
    account = make_account(role="viewer", organization_id=organization_id)
    everyone = everyone_of(account)
    gone = {"$pull": {"members": {"user_id": ObjectId(account.actor.user_id)}}}
    Organization._get_collection().update_one({"_id": ObjectId(organization_id)}, gone)
    standing.forget_user(account.actor.user_id)
    assert_all_end(everyone, "session-ended", "ended")


def test_who_is_removed_from_another_organization_stays_and_hears_no_more_of_it(pair: Pair) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    with socket_of(pair[0].url, account) as socket:
        assert socket.call("join-organization", {"organizationId": other.actor.organization_id})["ok"]
        ask(pair[1], other, "DELETE", at(other, "members", account.actor.user_id))
        told = wait_until(lambda: socket.named("left-organization"), WITHIN_S, "the leaving")
        assert told == [{"organizationId": other.actor.organization_id, "reason": "member_removed"}]
        make_device(other.actor)
        own = make_device(account.actor)
        assert socket.wait_for("device-update")["deviceId"] == own["id"]


def test_an_organization_that_is_deleted_ends_who_is_in_it_and_says_so(
    pair: Pair, everyone_of: Callable[[Account], list[Listener]]
) -> None:
    owner, visitor = make_account(), make_account()
    member = make_account(role="viewer", organization_id=owner.actor.organization_id)
    for one in (owner, visitor):
        join(one, make_account().actor.organization_id, role="viewer")
    join(visitor, owner.actor.organization_id, role="operator")
    everyone = everyone_of(owner) + everyone_of(member)
    with socket_of(pair[1].url, visitor) as socket:
        assert socket.call("join-organization", {"organizationId": owner.actor.organization_id})["ok"]
        ask(pair[0], owner, "DELETE", at(owner))
        assert_all_end(everyone, "session-ended", "organization_deleted")
        told = socket.wait_for("left-organization")
        assert told == {"organizationId": owner.actor.organization_id, "reason": "organization_deleted"}


def test_another_role_ends_nothing_and_counts_at_once(pair: Pair) -> None:
    owner = make_account()
    account = make_account(role="viewer", organization_id=owner.actor.organization_id)
    with socket_of(pair[0].url, account) as socket:
        ask(pair[1], owner, "PATCH", at(owner, "members", account.actor.user_id), role="admin")
        join_again = {"organizationId": owner.actor.organization_id}
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
            with pymongo.timeout(0.5):  # whoever else hears of it and needs the database gives up the sooner
                emit("user.password_changed", account.actor, user_id=account.actor.user_id)
                emit(
                    "device.deleted", account.actor, device_id="d", status="active", presence="online", changes={}
                )
            for listener in (socket, stream):
                listener.wait_for("device-update")
            for _ in range(3):  # each refusal is as long in coming as a round is in giving up
                assert not socket.call("leave-organization", {"organizationId": "x"})["ok"]
        finally:
            servers.restart_mongod()
        assert not socket.named("session-ended") and not stream.named("session-ended")
        wait_until(lambda: socket.call("leave-organization", {"organizationId": "x"})["ok"], 15, "the database")
        assert socket.client.connected and not stream.ended
