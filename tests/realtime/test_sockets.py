"""Socket.IO against a live server: who is let in, what is heard, and that nothing a client sends ends anything."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import websocket
from flask import Flask
from flask.testing import EnvironBuilder

from devicehub.auth import revocation, sessions
from devicehub.core import redis
from devicehub.core.actor import Actor
from devicehub.devices import heartbeats
from devicehub.extensions import socketio
from devicehub.realtime.hub import ours
from devicehub.realtime.packets import LARGEST_MESSAGE
from devicehub.web import identity
from devicehub.web.sockets import EVENTS_PER_MINUTE
from tests import factories
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, join, make_account, make_device
from tests.realtime.clients import Socket, socket_of

pytestmark = pytest.mark.usefixtures("app")

UNKNOWN = "65f000000000000000000009"


def beat(actor: Actor, device: dict[str, Any]) -> None:
    heartbeats.beat(actor, device["id"], {})


@contextmanager
def refused(url: str, **options: Any) -> Iterator[Callable[[], Any]]:
    """A client that is not let in, and what it is told."""
    made = Socket(url, **options)
    made.client.connect(url, auth=options.get("auth"), headers=options.get("headers", {}), wait=False)
    try:
        yield lambda: wait_until(lambda: made.refusal, what="a refusal")
    finally:
        made.close()


# Letting in


def test_a_client_is_greeted_with_who_and_where_it_is(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        first, greeting = socket.heard[0]
        assert first == "connected"
        assert greeting["userId"] == account.actor.user_id
        assert greeting["organizationId"] == account.actor.organization_id
        assert greeting["socketId"] == socket.client.get_sid()
        assert greeting["serverTime"].endswith("Z") and greeting["message"]
        assert "-" in greeting["lastEventId"]


def test_the_header_lets_in_as_well(live_server: LiveServer) -> None:
    account = make_account()
    socket = Socket(live_server.url, headers=account.headers)
    try:
        assert socket.connect().named("connected")[0]["userId"] == account.actor.user_id
    finally:
        socket.close()


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_both_transports_tell_the_same(live_server: LiveServer, transport: str) -> None:
    account = make_account()
    with socket_of(live_server.url, account, transports=[transport]) as socket:
        device = make_device(account.actor)
        beat(account.actor, device)
        assert socket.wait_for("device-heartbeat")["deviceId"] == device["id"]
        assert socket.call("device-status-request", {"deviceId": device["id"]})["ok"]


@pytest.mark.parametrize(
    ("auth", "code"),
    [
        (None, "AUTHENTICATION_REQUIRED"),
        ({}, "AUTHENTICATION_REQUIRED"),
        ({"token": ""}, "AUTHENTICATION_REQUIRED"),
        ({"token": {"$gt": ""}}, "AUTHENTICATION_REQUIRED"),
        ({"token": ["a"]}, "AUTHENTICATION_REQUIRED"),
        ({"token": "not.a.token"}, "INVALID_TOKEN"),
        ({"token": "x" * 10_000}, "INVALID_TOKEN"),
    ],
)
def test_a_stranger_is_refused_and_told_why(live_server: LiveServer, auth: Any, code: str) -> None:
    with refused(live_server.url, auth=auth) as reason:
        assert reason()["data"]["code"] == code
        assert reason()["message"] == reason()["data"]["message"]
        assert ("`auth: {token}`" in reason()["message"]) is (code == "AUTHENTICATION_REQUIRED")


def test_a_token_whose_session_has_ended_is_refused(live_server: LiveServer) -> None:
    account = make_account()
    revocation.end(account.actor.session_id or "")
    with refused(live_server.url, auth={"token": account.access_token}) as reason:
        assert reason()["data"]["code"] == "TOKEN_REVOKED"


def test_without_the_database_the_refusal_says_so_and_it_works_again_after(
    live_server: LiveServer, servers: Servers
) -> None:
    account = make_account()
    redis.current().client.flushall()  # what is remembered of a session is good for 30 s
    servers.mongod.stop()
    try:
        with refused(live_server.url, auth={"token": account.access_token}) as reason:
            assert reason()["data"]["code"] == "DATABASE_UNAVAILABLE"
    finally:
        servers.restart_mongod()

    def is_let_in() -> bool:
        socket = Socket(live_server.url, {"token": account.access_token})
        try:
            socket.connect()
        except ConnectionError:
            return False
        finally:
            socket.close()
        return True

    wait_until(is_let_in, 15, "being let in again")


def test_a_page_of_a_foreign_origin_is_refused(live_server: LiveServer) -> None:
    address = live_server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(websocket.WebSocketBadStatusException, match="400"):
        websocket.create_connection(address, origin="https://evil.example")
    websocket.create_connection(address, origin=live_server.url).close()


def test_an_allowed_origin_is_let_in_and_ones_own_behind_a_proxy(serve: Callable[..., LiveServer]) -> None:
    server = serve(ALLOWED_ORIGINS="https://one.example,https://two.example", TRUSTED_PROXIES="1")
    address = server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    for origin in ("https://two.example", server.url):
        websocket.create_connection(address, origin=origin).close()
    secure = server.url.replace("http", "https")
    websocket.create_connection(address, origin=secure, header=["X-Forwarded-Proto: https"]).close()
    with pytest.raises(websocket.WebSocketBadStatusException, match="400"):
        websocket.create_connection(address, origin=secure)
    server.stop()


# Leaving


def listeners_to(account: Account) -> int:
    """How many processes listen to somebody's organization."""
    return int(redis.current().client.pubsub_numsub(f"events:0:{account.actor.organization_id}")[0][1])


def test_a_socket_that_left_leaves_nothing_behind(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        device = make_device(account.actor)
        assert socket.call("device-status-request", {"deviceId": device["id"]})["ok"]
        assert listeners_to(account) == 1
    wait_until(lambda: listeners_to(account) == 0, what="the server to listen no longer")


def test_a_polling_client_that_left_leaves_nothing_behind(live_server: LiveServer) -> None:
    account = make_account()
    with httpx.Client(base_url=live_server.url, timeout=10) as client:
        address = "/socket.io/?EIO=4&transport=polling"
        address += f"&sid={json.loads(client.get(address).text[1:])['sid']}"
        client.post(address, content="40" + json.dumps({"token": account.access_token}))
        assert client.get(address).text.startswith("40")
        assert listeners_to(account) == 1
        client.post(address, content="41")
        wait_until(lambda: listeners_to(account) == 0, what="the server to listen no longer")
        assert client.post(address, content="1").status_code == 200


def test_a_client_that_leaves_while_it_is_let_in_leaves_nothing_behind(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """python-socketio as it comes keeps such a client in its rooms for good."""
    account, server = make_account(), socketio.server
    environ = EnvironBuilder(app, path="/socket.io/").get_environ() | {"flask.app": app}

    def leave_meanwhile(token: str) -> Actor:
        server._handle_eio_disconnect("engine-1", "transport close")
        return account.actor

    monkeypatch.setattr(identity, "authenticate", leave_meanwhile)
    monkeypatch.setitem(server.environ, "engine-1", environ)
    server._handle_eio_message("engine-1", '0{"token":"any"}')
    assert server.manager.rooms == {}
    assert ours().connections == {}
    assert ours().reader.head(account.actor.organization_id) is None


# Hearing


def test_another_organization_hears_nothing(live_server: LiveServer) -> None:
    mine, other = make_account(), make_account()
    with socket_of(live_server.url, mine) as socket:
        theirs = make_device(other.actor)
        beat(other.actor, theirs)
        own = make_device(mine.actor)
        beat(mine.actor, own)
        socket.wait_for("device-heartbeat")
        assert {payload["deviceId"] for name, payload in socket.heard if name != "connected"} == {own["id"]}


# Client events


def test_an_unknown_event_is_answered_with_an_error(live_server: LiveServer) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        assert socket.call("no-such-event", {})["error"]["code"] == "NOT_FOUND"
        assert socket.wait_for("error")["code"] == "NOT_FOUND"


def test_a_refusal_is_told_to_a_client_that_asked_for_no_acknowledgement(live_server: LiveServer) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        socket.client.emit("join-organization", {"organizationId": UNKNOWN})
        assert socket.wait_for("error")["code"] == "ORGANIZATION_NOT_FOUND"


def test_events_are_answered_in_their_order(live_server: LiveServer) -> None:
    account = make_account()
    organization = {"organizationId": account.actor.organization_id}
    answers: list[str] = []
    with socket_of(live_server.url, account) as socket:
        for number in range(10):
            event = "leave-organization" if number % 2 else "join-organization"
            socket.client.emit(event, organization, callback=lambda _, event=event: answers.append(event))
        wait_until(lambda: len(answers) == 10, what="ten answers")
    assert answers == ["join-organization", "leave-organization"] * 5


def test_a_connection_may_send_a_hundred_events_a_minute(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        codes = [socket.call("no-such-event")["error"]["code"] for _ in range(EVENTS_PER_MINUTE)]
        assert set(codes[:-1]) == {"NOT_FOUND"}  # connecting was the first
        assert codes[-1] == "RATE_LIMIT_EXCEEDED"
        device = make_device(account.actor)
        assert socket.wait_for("device-update")["deviceId"] == device["id"]


# `authenticate`


def test_a_connection_is_renewed_in_place(live_server: LiveServer) -> None:
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        answer = socket.call("authenticate", {"token": _token_of(account)})
        assert answer["ok"] and answer["organizationId"] == account.actor.organization_id
        revocation.end(account.actor.session_id or "")
        assert socket.call("device-unsubscribe", {"deviceId": UNKNOWN})["ok"]
        make_device(account.actor)
        socket.wait_for("device-update")


def test_a_renewal_may_name_another_organization(live_server: LiveServer) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    with socket_of(live_server.url, account) as socket:
        answer = socket.call("authenticate", {"token": _token_of(account, other.actor.organization_id)})
        assert answer["organizationId"] == other.actor.organization_id
        make_device(account.actor)
        theirs = make_device(other.actor)
        assert socket.wait_for("device-update")["deviceId"] == theirs["id"]


@pytest.mark.parametrize(
    "payload", [None, {}, {"token": 7}, {"token": "x" * 5000}, {"token": {"$ne": 1}}, "token"]
)
def test_a_renewal_without_a_token_is_refused(live_server: LiveServer, payload: Any) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        assert socket.call("authenticate", payload)["error"]["code"] == "VALIDATION_ERROR"


def test_a_renewal_is_for_the_same_user_only(live_server: LiveServer) -> None:
    with socket_of(live_server.url, make_account()) as socket:
        answer = socket.call("authenticate", {"token": make_account().access_token})
        assert answer["error"]["code"] == "FORBIDDEN"
        assert socket.call("authenticate", {"token": "no.such.token"})["error"]["code"] == "INVALID_TOKEN"


def _token_of(account: Account, organization_id: str | None = None) -> str:
    """The access token of a new session of theirs, in another organization if one is named."""
    newer = factories.log_in(account.email)
    if organization_id is None:
        return newer.access_token
    grant = sessions.rotate(newer.refresh_token, ip="127.0.0.1", user_agent="tests")
    with factories.app.app_context():
        return identity.mint(replace(grant, organization_id=organization_id, role="viewer"))


# Hostility


class Raw:
    """A client that writes Socket.IO by hand."""

    def __init__(self, url: str, account: Account) -> None:
        address = url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
        self.ws = websocket.create_connection(address, timeout=10)
        self.ws.recv()
        self.ws.send("40" + json.dumps({"token": account.access_token}))
        self.next("40")

    def next(self, prefix: str) -> str:
        """The next message that begins with `prefix`; pings are answered, others passed over."""
        while True:
            message = self.ws.recv()
            if message == "2":
                self.ws.send("3")
            elif str(message).startswith(prefix):
                return str(message)

    def is_served(self) -> bool:
        self.ws.send('4277["leave-organization",{"organizationId":"a"}]')
        return json.loads(self.next("4377")[4:])[0]["ok"] is True


@pytest.fixture
def raw(live_server: LiveServer) -> Iterator[Raw]:
    made = Raw(live_server.url, make_account())
    yield made
    made.ws.close()


DEEP = "[" * 10_000 + "]" * 10_000


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('421["join-organization"]', "VALIDATION_ERROR"),
        ('421["join-organization",null]', "VALIDATION_ERROR"),
        ('421["join-organization",7]', "VALIDATION_ERROR"),
        ('421["join-organization",[]]', "VALIDATION_ERROR"),
        ('421["join-organization","a","b"]', "VALIDATION_ERROR"),
        ('421["join-organization",{}]', "VALIDATION_ERROR"),
        ('421["join-organization",{"organizationId":{"$gt":""}}]', "VALIDATION_ERROR"),
        ('421["join-organization",{"organizationId":["a"]}]', "VALIDATION_ERROR"),
        ('421["join-organization",{"organizationId":null}]', "VALIDATION_ERROR"),
        ('421["join-organization",{"organizationId":"a","admin":true}]', "VALIDATION_ERROR"),
        ('421["join-organization",{"organizationId":"\\u0000/../*"}]', "ORGANIZATION_NOT_FOUND"),
        ('421["join-organization",{"organization_id":"a"}]', "ORGANIZATION_NOT_FOUND"),
        ('421["device-status-request",{"deviceId":"' + "f" * 60_000 + '"}]', "DEVICE_NOT_FOUND"),
        ('421["join-organization",{"organizationId":"' + "a" * LARGEST_MESSAGE + '"}]', "PAYLOAD_TOO_LARGE"),
        ('421["join-organization",{"organizationId":"' + "a" * (1 << 20) + '"}]', "PAYLOAD_TOO_LARGE"),
        (f'421["join-organization",{DEEP}]', "MALFORMED_REQUEST"),
        ('421["join-organization",{"organizationId":', "MALFORMED_REQUEST"),
        ("421", "MALFORMED_REQUEST"),
        ("421{}", "MALFORMED_REQUEST"),
        ('421[{"a":1}]', "MALFORMED_REQUEST"),
        ('421["connect",{},{"token":"x"}]', "MALFORMED_REQUEST"),
        ('421["disconnect","because"]', "MALFORMED_REQUEST"),
        ('421["*","another-sid"]', "MALFORMED_REQUEST"),
        ('451-1["join-organization",{"_placeholder":true,"num":0}]', "MALFORMED_REQUEST"),
        ('421["__class__",{}]', "MALFORMED_REQUEST"),
        ('421["message",{}]', "NOT_FOUND"),
    ],
    ids=lambda value: value[:48],
)
def test_a_hostile_event_is_answered_with_an_error(raw: Raw, message: str, code: str) -> None:
    raw.ws.send(message)
    answer = json.loads(raw.next("431")[3:])[0]
    assert (answer["ok"], answer["error"]["code"]) == (False, code)
    assert raw.is_served()


@pytest.mark.parametrize(
    "message",
    ["x", "9", "4", "44{}", "4{}", "4[]", "47", "43", "430[]", "439[1]", "4²", f"4{DEEP}", "b", "b!", "2probe", "5",
     "0{}", "40{}", "40/other,{}", "41/other", "42/other,[\"a\"]", "451-[\"a\"]", "4599999999999-[]"],
    ids=lambda value: value[:24],
)  # fmt: skip
def test_what_is_no_event_at_all_ends_nothing_either(raw: Raw, message: str) -> None:
    raw.ws.send(message)
    assert raw.is_served()


@pytest.mark.parametrize("attachment", [b"", b"\x00" * 100, b"2[", b"\xff" * 60_000], ids=len)
def test_binary_ends_nothing(raw: Raw, attachment: bytes) -> None:
    raw.ws.send('453-["join-organization",{"_placeholder":true,"num":0}]')
    for _ in range(3):
        raw.ws.send_binary(attachment)
    assert raw.is_served()


def test_a_frame_without_measure_ends_its_own_connection_only(raw: Raw, live_server: LiveServer) -> None:
    with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
        raw.ws.send('421["join-organization","' + "a" * (8 << 20) + '"]')
        raw.next("431")
    with socket_of(live_server.url, make_account()) as socket:
        assert socket.call("leave-organization", {"organizationId": "a"})["ok"]


def test_a_client_that_leaves_and_comes_back_on_one_connection_starts_anew(raw: Raw) -> None:
    raw.ws.send("41")
    raw.ws.send('421["leave-organization",{"organizationId":"a"}]')  # nobody is there to answer
    account = make_account()
    raw.ws.send("40" + json.dumps({"token": account.access_token}))
    raw.next("40")
    assert json.loads(raw.next('42["connected"')[2:])[1]["userId"] == account.actor.user_id
    assert raw.is_served()


def test_trying_tokens_is_limited_like_any_event(live_server: LiveServer, app: Flask) -> None:
    raw = Raw(live_server.url, make_account())
    raw.ws.send("41")
    codes = []
    for _ in range(EVENTS_PER_MINUTE):
        raw.ws.send('40{"token":"a.guess"}')
        codes.append(json.loads(raw.next("44")[2:])["data"]["code"])
    assert (codes[0], codes[-1]) == ("INVALID_TOKEN", "RATE_LIMIT_EXCEEDED")
    raw.ws.close()
