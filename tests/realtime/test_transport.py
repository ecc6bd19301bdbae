"""The WebSocket under Socket.IO: whole frames, however slowly they are taken, and no faster reading than needed."""

import inspect
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import Empty, Queue
from types import SimpleNamespace
from typing import Any

import engineio
import httpx
import pytest
import websocket
from engineio.async_drivers import gevent as driver
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI
from engineio.packet import MESSAGE, Packet
from flask import Flask
from socketio import manager as socketio_manager
from socketio.base_manager import BaseManager
from socketio.pubsub_manager import PubSubManager

from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.realtime import transport
from devicehub.realtime.manager import FanOut, Manager
from devicehub.realtime.outbox import MOST_FRAMES, Outbox
from devicehub.realtime.transport import MOST_UNREAD, CarefulSocket, Lane, frame_of
from tests.conftest import LiveServer, wait_until
from tests.factories import make_account
from tests.realtime.clients import Socket, slow_socket, socket_of, tell_much

Connection = tuple[socket.socket, socket.socket]


@dataclass
class Polling:
    actor: Actor
    other: Socket
    poll: Callable[[], httpx.Response]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        client.settimeout(10)
        yield server, client


# What we rely on in our libraries


def test_the_drivers_parts_are_still_looked_up_by_name_and_made_as_ours_expect() -> None:
    assert issubclass(driver._async["websocket"], SimpleWebSocketWSGI)
    engine = engineio.Server(async_mode="gevent")
    transport.install(engine)
    client = engineio.socket.Socket(engine, "a-sid")
    assert isinstance(client.queue, Lane) and isinstance(client.queue, driver._async["queue"])
    assert (client.upgraded, client.closed) == (False, False)
    made = engine._async["websocket"](client._websocket_handler, engine)
    assert made.server_args.keys() == {"thread_class", "event_class", "max_message_size"}
    assert made._client is client


def test_every_emit_of_python_socketio_ends_up_in_ours() -> None:
    order = Manager.__mro__
    assert order.index(PubSubManager) < order.index(FanOut) < order.index(socketio_manager.Manager)
    assert inspect.signature(FanOut.emit).parameters.keys() == (
        inspect.signature(socketio_manager.Manager.emit).parameters.keys()
    )
    assert inspect.signature(BaseManager.get_participants).parameters.keys() == {"self", "namespace", "room"}


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("kind", [str, bytes])
def test_a_frame_is_what_a_websocket_client_reads(connection: Connection, size: int, kind: type) -> None:
    server, client = connection
    message = "x" * size if kind is str else b"x" * size
    packet = Packet(MESSAGE, message)
    server.sendall(frame_of(packet))
    reader = websocket.WebSocket()
    reader.sock = client
    code, read = reader.recv_data()
    assert code == (websocket.ABNF.OPCODE_TEXT if kind is str else websocket.ABNF.OPCODE_BINARY)
    assert read == (f"4{message}".encode() if kind is str else message)
    assert frame_of(packet) is frame_of(packet)


def test_a_lane_that_is_passed_by_is_not_taken_for_a_client_that_has_gone(connection: Connection) -> None:
    lane: Any = type("Lane", (Lane, Queue), {})()
    with pytest.raises(Empty):
        lane.get(timeout=0.01)
    lane.outbox = Outbox(connection[0])
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(lane.get(timeout=0.01)))
    waiting.start()
    lane.put(Packet(MESSAGE, "straight"))
    assert connection[1].recv(100) == frame_of(Packet(MESSAGE, "straight"))
    lane.put(None)
    waiting.join(10)
    assert got == [None]


def test_what_is_queued_is_sent_before_what_follows(connection: Connection) -> None:
    lane: Any = type("Lane", (Lane, Queue), {})()
    lane.put(Packet(MESSAGE, "first"))
    lane.outbox = Outbox(connection[0])
    lane.put(Packet(MESSAGE, "second"))
    assert [lane.get().data, lane.get().data] == ["first", "second"]
    assert lane.size == 0 and lane.direct is not None


def test_a_burst_leaves_together_and_a_single_message_at_once(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = connection
    lane: Any = type("Lane", (Lane, Queue), {})()
    lane.outbox = Outbox(server)
    clients = {"a-sid": SimpleNamespace(queue=lane, closed=False)}
    monkeypatch.setattr(
        transport, "socketio", SimpleNamespace(server=SimpleNamespace(eio=SimpleNamespace(sockets=clients)))
    )
    transport.send_all(["a-sid", "gone"], "1")
    assert client.recv(100) == frame_of(Packet(MESSAGE, "1"))
    transport.gather()
    for message in ("2", "3"):
        transport.send_all(["a-sid"], message)
    assert len(lane.outbox) == 2
    transport.flush()
    assert client.recv(100) == frame_of(Packet(MESSAGE, "2")) + frame_of(Packet(MESSAGE, "3"))


# As clients see it


@pytest.mark.usefixtures("app")
def test_clients_of_every_transport_hear_the_same_in_the_same_order(live_server: LiveServer) -> None:
    account = make_account()
    kinds = [["websocket"], ["polling"], ["polling", "websocket"]]
    with ExitStack() as stack:
        clients = [stack.enter_context(socket_of(live_server.url, account, transports=kind)) for kind in kinds * 3]
        for number in range(200):  # while some of them upgrade
            tell(account.actor, number)
        for client in clients:
            client.wait_for("device-heartbeat", 200)
            assert [beat["metrics"]["number"] for beat in client.named("device-heartbeat")] == list(range(200))
            assert client.call("leave-organization", {"organizationId": "x"})["ok"]


@pytest.mark.usefixtures("app")
def test_no_compression_is_agreed_on(live_server: LiveServer) -> None:
    address = live_server.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    offer = ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]
    client = websocket.create_connection(address, header=offer, timeout=10)
    assert "sec-websocket-extensions" not in client.headers
    assert str(client.recv()).startswith("0{")
    client.close()


@pytest.mark.usefixtures("app")
def test_a_client_that_reads_slowly_gets_every_frame_whole(live_server: LiveServer) -> None:
    """simple-websocket as it comes loses the end of a frame whenever the connection is full."""
    account = make_account()
    slow = slow_socket(live_server.url, account)
    with socket_of(live_server.url, account) as quick:
        tell_much(account.actor, 45)
        quick.wait_for("device-heartbeat", 45)
    heard: list[int] = []
    while len(heard) < 45:
        message = str(slow.recv())
        if message.startswith("42"):
            heard.append(json.loads(message[2:])[1]["metrics"]["number"])
    assert heard == list(range(45))
    slow.close()


@pytest.mark.usefixtures("app")
def test_a_client_that_does_not_read_is_cut_off_and_others_hear_on(live_server: LiveServer) -> None:
    account = make_account()
    slow = slow_socket(live_server.url, account)
    with socket_of(live_server.url, account) as quick:
        for heard in range(20, 401, 20):  # in steps, so that who reads keeps up on a busy machine too
            tell_much(account.actor, 20)
            quick.wait_for("device-heartbeat", heard)
        numbers: list[int] = []
        with suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
            while True:
                message = str(slow.recv())
                if message.startswith("42"):
                    numbers.append(json.loads(message[2:])[1]["metrics"]["number"])
        assert 0 < len(numbers) < 400
        assert numbers == [number % 20 for number in range(len(numbers))]


@pytest.fixture
def polling(app: Flask, live_server: LiveServer) -> Iterator[Polling]:
    """A greeted client that polls only when it is told to, and somebody else who hears the same."""
    account = make_account()
    with (
        httpx.Client(base_url=live_server.url, timeout=10) as client,
        socket_of(live_server.url, account) as other,
    ):
        address = "/socket.io/?EIO=4&transport=polling"
        address += f"&sid={json.loads(client.get(address).text[1:])['sid']}"
        client.post(address, content="40" + json.dumps({"token": account.access_token}))
        assert client.get(address).text.startswith("40")
        yield Polling(account.actor, other, lambda: client.get(address))


def test_a_client_that_was_slow_to_poll_is_answered_no_more_at_once_than_any_takes(polling: Polling) -> None:
    """python-engineio's takes 16 packets; more of them end its session."""
    for number in range(40):
        tell(polling.actor, number)
    polling.other.wait_for("device-heartbeat", 40)
    heard: list[int] = []
    while len(heard) < 40:
        packets = polling.poll().text.split("\x1e")
        assert len(packets) <= 16
        told = [json.loads(packet[2:]) for packet in packets if packet.startswith("42")]
        heard += [payload["metrics"]["number"] for event, payload in told if event == "device-heartbeat"]
    assert heard == list(range(40))


def test_a_client_that_does_not_poll_is_let_go(polling: Polling) -> None:
    for number in range(MOST_FRAMES + 10):
        tell(polling.actor, number)
    polling.other.wait_for("device-heartbeat", MOST_FRAMES + 10)
    wait_until(lambda: polling.poll().status_code == 400, what="its end")


def tell(actor: Actor, number: int) -> None:
    state = {"device_id": "65f000000000000000000003", "status": "active", "presence": "online"}
    emit("device.heartbeat", actor, **state, last_active_at=None, metrics={"number": number})


# The connection below


def test_nothing_is_read_while_what_was_read_is_not_taken(connection: Connection) -> None:
    server, client = connection
    careful = CarefulSocket(server)
    careful.inbox = ["x" * MOST_UNREAD, "y"]
    client.sendall(b"more")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(careful.recv(4)))
    reader.start()
    assert not got
    careful.inbox.clear()
    reader.join(10)
    assert got == [b"more"]


def test_hanging_up_wakes_who_waits_to_read(connection: Connection) -> None:
    careful = CarefulSocket(connection[0])
    careful.inbox = ["x" * 2 * MOST_UNREAD]
    reader = threading.Thread(target=lambda: careful.recv(4))
    reader.start()
    careful.hang_up()
    reader.join(10)
    assert not reader.is_alive()


def test_a_client_that_has_left_is_known_without_writing(connection: Connection) -> None:
    server, client = connection
    assert not transport.has_left(server)
    client.close()
    wait_until(lambda: transport.has_left(server), what="the end to arrive")
    server.close()
    assert not transport.has_left(server)
    assert not transport.has_left(None)


def test_the_kernel_gives_up_a_client_that_acknowledges_nothing(connection: Connection) -> None:
    server, _ = connection
    assert transport.client_socket({"gunicorn.socket": server}) is server
    assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == transport.SILENCE_S * 1000
    assert transport.client_socket({}) is None


@pytest.mark.usefixtures("app")
def test_what_is_not_a_websocket_handshake_is_refused(live_server: LiveServer) -> None:
    host, port = live_server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
        )
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400")
