"""GET /api/sse/events, POST /api/sse/ticket, GET /api/sse/stats."""

import socket
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import pytest
from flask.testing import FlaskClient
from socketio.exceptions import ConnectionError as NotLetIn

from devicehub.auth import revocation, standing
from devicehub.core import redis
from devicehub.core.actor import Role
from devicehub.devices import heartbeats
from devicehub.realtime.hub import ours
from devicehub.realtime.streams import RETRY
from devicehub.users.models import User
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, make_account, make_device
from tests.realtime.clients import Socket, socket_of, stream_of, tell_much

pytestmark = pytest.mark.usefixtures("app")

URL = "/api/sse/events"


def test_a_stranger_is_refused(client: FlaskClient) -> None:
    answer = client.get(URL)
    assert (answer.status_code, answer.json["code"]) == (401, "AUTHENTICATION_REQUIRED")
    assert client.get(f"{URL}?token=no.such.token").json["code"] == "INVALID_TOKEN"


def test_what_comes_is_an_unbuffered_stream_that_is_never_kept(
    client_of: Callable[[Account], FlaskClient],
) -> None:
    answer = client_of(make_account()).get(URL)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    frames = answer.iter_encoded()
    assert next(frames) == RETRY
    assert b"event: connected\n" in next(frames)
    answer.close()


def test_the_token_may_stand_in_the_query_and_is_written_down_nowhere(
    client: FlaskClient, capsys: pytest.CaptureFixture[str]
) -> None:
    token = make_account().access_token
    answer = client.get(f"{URL}?token={token}")
    assert answer.status_code == 200
    answer.close()
    assert token not in "".join(capsys.readouterr())


def test_the_query_is_for_this_route_only(client: FlaskClient) -> None:
    assert client.get(f"/api/users/profile?token={make_account().access_token}").status_code == 401


def test_the_first_event_says_who_where_and_from_which_id_on(live_server: LiveServer) -> None:
    account = make_account()
    with stream_of(live_server.url, account) as stream:
        greeting = stream.named("connected")[0]
        assert greeting["userId"] == account.actor.user_id
        assert greeting["organizationId"] == account.actor.organization_id
        assert greeting["socketId"] and greeting["message"] and greeting["serverTime"].endswith("Z")
        connected = next(event for event in stream.heard if event.get("event") == "connected")
        assert connected["id"] == greeting["lastEventId"]


def test_events_come_with_the_ids_that_their_payloads_carry(live_server: LiveServer) -> None:
    account = make_account()
    with stream_of(live_server.url, account) as stream:
        device = make_device(account.actor)
        heartbeats.beat(account.actor, device["id"], {"metrics": {"temperature": 21.5}})
        heartbeat = stream.wait_for("device-heartbeat")
        assert heartbeat["metrics"] == {"temperature": 21.5}
        assert stream.heard[-1]["id"] == heartbeat["id"] > stream.named("connected")[0]["lastEventId"]


def test_another_organization_is_not_heard(live_server: LiveServer) -> None:
    mine, other = make_account(), make_account()
    with stream_of(live_server.url, mine) as stream:
        make_device(other.actor)
        own = make_device(mine.actor)
        assert stream.wait_for("device-update")["deviceId"] == own["id"]


def test_a_stream_that_was_closed_leaves_nothing_behind(client_of: Callable[[Account], FlaskClient]) -> None:
    account = make_account()
    channel = ours().events.channel(account.actor.organization_id)

    def listeners() -> int:
        return int(redis.current().client.pubsub_numsub(channel)[0][1])

    answer = client_of(account).get(URL)
    wait_until(lambda: listeners() == 1, what="the process to listen")
    answer.close()
    wait_until(lambda: listeners() == 0, what="the process to listen no longer")
    assert account.actor.organization_id not in ours().streams


# Tickets


TICKET = "/api/sse/ticket"


def test_a_stranger_gets_no_ticket(client: FlaskClient) -> None:
    assert client.post(TICKET).json["code"] == "AUTHENTICATION_REQUIRED"


def test_a_ticket_opens_one_stream_as_its_owner_and_is_written_down_nowhere(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], capsys: pytest.CaptureFixture[str]
) -> None:
    account = make_account()
    answer = client_of(account).post(TICKET)
    assert (answer.status_code, answer.json["expiresIn"]) == (200, 60)
    ticket = answer.json["ticket"]
    opened = client.get(f"{URL}?ticket={ticket}")
    frames = opened.iter_encoded()
    assert next(frames) == RETRY
    assert account.actor.user_id.encode() in next(frames)
    opened.close()
    used = client.get(f"{URL}?ticket={ticket}")
    assert (used.status_code, used.json["code"]) == (401, "INVALID_TOKEN")
    assert ticket not in "".join(capsys.readouterr())
    assert not any(ticket.encode() in key for key in redis.current().client.keys("*"))


@pytest.mark.parametrize("ticket", ["", "x", "x" * 5000, "%00", "*"])
def test_a_ticket_that_was_made_up_is_refused(client: FlaskClient, ticket: str) -> None:
    assert client.get(f"{URL}?ticket={ticket}").json["code"] == "INVALID_TOKEN"


def test_a_ticket_is_over_after_a_minute(client_of: Callable[[Account], FlaskClient]) -> None:
    client_of(make_account()).post(TICKET)
    [key] = redis.current().client.keys("ticket:*")
    assert 0 < redis.current().client.ttl(key) <= 60


def test_a_ticket_is_worth_no_more_than_its_owners_session(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient]
) -> None:
    account = make_account()
    ticket = client_of(account).post(TICKET).json["ticket"]
    revocation.end(account.actor.session_id or "")
    assert client.get(f"{URL}?ticket={ticket}").json["code"] == "TOKEN_REVOKED"


def test_a_ticket_is_for_this_route_only(client: FlaskClient, client_of: Callable[[Account], FlaskClient]) -> None:
    ticket = client_of(make_account()).post(TICKET).json["ticket"]
    assert client.get(f"/api/users/profile?ticket={ticket}").status_code == 401


def test_without_redis_there_are_no_tickets(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], servers: Servers
) -> None:
    mine = client_of(make_account())
    ticket = mine.post(TICKET).json["ticket"]
    servers.redis.stop()
    try:
        assert mine.post(TICKET).json["code"] == "SERVICE_UNAVAILABLE"
        assert client.get(f"{URL}?ticket={ticket}").json["code"] == "SERVICE_UNAVAILABLE"
    finally:
        servers.restart_redis()


# Counts and caps


STATS = "/api/sse/stats"


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_counts_are_for_admins(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], role: Role
) -> None:
    assert client.get(STATS).status_code == 401
    assert client_of(make_account(role=role)).get(STATS).json["code"] == "INSUFFICIENT_ROLE"


@pytest.mark.xdist_group("pair")
def test_an_admin_sees_their_organizations_connections_in_all_processes(
    pair: tuple[LiveServer, LiveServer], client_of: Callable[[Account], FlaskClient]
) -> None:
    mine, other = make_account(), make_account()
    with ExitStack() as stack:
        for server in pair:
            stack.enter_context(socket_of(server.url, mine))
            stack.enter_context(stream_of(server.url, mine))
        stack.enter_context(stream_of(pair[0].url, other))
        client = client_of(mine)
        wait_until(lambda: client.get(STATS).json == {"sockets": 2, "streams": 2}, what="both to have reported")


def test_a_platform_admin_sees_all_of_them(
    live_server: LiveServer, client_of: Callable[[Account], FlaskClient]
) -> None:
    account, other = make_account(), make_account(role="viewer")
    User.objects(id=other.actor.user_id).update_one(set__role="admin")
    standing.forget_user(other.actor.user_id)
    client = client_of(other)
    organization_id = account.actor.organization_id
    expected = {"organizationId": organization_id, "sockets": 1, "streams": 0}
    with socket_of(live_server.url, account):
        told = wait_until(
            lambda: (t := client.get(STATS).json)["organizations"] == [expected] and t, what="a report"
        )
        assert (told["sockets"], told["streams"]) == (1, 0)
        assert told["processes"] >= 2


def test_a_user_may_open_so_many_connections_in_all_processes_together(serve: Callable[..., LiveServer]) -> None:
    limits = {"SOCKETS_PER_USER": "2", "STREAMS_PER_USER": "2"}
    servers = [serve(**limits), serve(**limits)]
    account, other = make_account(), make_account()
    with ExitStack() as stack:
        asked = [httpx.stream("GET", server.url + URL, headers=account.headers) for server in servers]
        opened = [stack.enter_context(one) for one in asked]
        assert [one.status_code for one in opened] == [200, 200]
        for server in servers:
            stack.enter_context(socket_of(server.url, account))
        refusal = httpx.get(servers[0].url + URL, headers=account.headers)
        assert (refusal.status_code, refusal.json()["code"]) == (429, "RATE_LIMIT_EXCEEDED")
        assert refusal.headers["Retry-After"] == "5"
        refused = Socket(servers[1].url, {"token": account.access_token})
        with pytest.raises(NotLetIn):
            refused.connect()
        assert refused.refusal["data"]["code"] == "RATE_LIMIT_EXCEEDED"
        for kind in (socket_of, stream_of):
            stack.enter_context(kind(servers[1].url, other))
        opened[0].close()
        wait_until(lambda: _opens(servers[1], account), what="a seat to be free again")
    for server in servers:
        server.stop()


def _opens(server: LiveServer, account: Account) -> bool:
    with httpx.stream("GET", server.url + URL, headers=account.headers) as answer:
        return answer.status_code == 200


def test_a_head_request_opens_no_stream(client_of: Callable[[Account], FlaskClient]) -> None:
    account = make_account()
    assert client_of(account).head(URL).status_code == 200
    assert ours().reader.head(account.actor.organization_id) is None


def test_a_client_that_does_not_read_is_cut_off_and_others_hear_on(live_server: LiveServer) -> None:
    account = make_account()
    host, port = live_server.url.removeprefix("http://").split(":")
    with socket.socket() as slow, stream_of(live_server.url, account) as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(20)
        slow.connect((host, int(port)))
        request = f"GET {URL} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {account.access_token}\r\n\r\n"
        slow.sendall(request.encode())
        wait_until(lambda: b"event: connected" in slow.recv(1 << 16, socket.MSG_PEEK), what="the slow stream")
        for heard in range(20, 401, 20):  # in steps, so that who reads keeps up on a busy machine too
            tell_much(account.actor, 20)
            quick.wait_for("device-heartbeat", heard)
        read = 0
        while chunk := slow.recv(1 << 16):  # comes to an end, for the server has hung up
            read += len(chunk)
        assert 0 < read < sum(len(event.get("data", "")) for event in quick.heard)
