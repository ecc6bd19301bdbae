"""GET /api/sse/events."""

import socket
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from devicehub.core import redis
from devicehub.devices import heartbeats
from devicehub.realtime.hub import ours
from tests.conftest import LiveServer, wait_until
from tests.factories import Account, make_account, make_device
from tests.realtime.clients import stream_of, tell_much

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
    assert next(frames) == b"retry: 3000\n\n"
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
