"""The WebSocket under Socket.IO: whole frames, however slowly they are taken, and no faster reading than needed."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest
from engineio.async_drivers import gevent as driver
from engineio.async_drivers._websocket_wsgi import SimpleWebSocketWSGI

from devicehub.realtime import transport
from devicehub.realtime.transport import MOST_UNREAD, CarefulSocket, WebSocket
from tests.conftest import LiveServer, wait_until
from tests.factories import make_account
from tests.realtime.clients import slow_socket, socket_of, tell_much

Connection = tuple[socket.socket, socket.socket]


@pytest.fixture
def connection() -> Iterator[Connection]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        client.settimeout(10)
        yield server, client


def test_the_drivers_websocket_is_still_made_as_ours_expects() -> None:
    assert issubclass(driver._async["websocket"], SimpleWebSocketWSGI)
    made = WebSocket(lambda ws: [], type("Server", (), {"_async": driver._async})())
    assert made.server_args.keys() == {"thread_class", "event_class", "max_message_size"}


@pytest.mark.usefixtures("app")
def test_a_client_that_reads_slowly_gets_every_frame_whole(live_server: LiveServer) -> None:
    """simple-websocket as it comes loses the end of a frame whenever the connection is full."""
    account = make_account()
    slow = slow_socket(live_server.url, account)
    with socket_of(live_server.url, account) as quick:
        tell_much(account.actor, 200)
        quick.wait_for("device-heartbeat", 200)
    heard: list[int] = []
    while len(heard) < 200:
        message = str(slow.recv())
        if message.startswith("42"):
            heard.append(json.loads(message[2:])[1]["metrics"]["number"])
    assert heard == list(range(200))
    slow.close()


def test_two_who_send_at_once_do_not_mix_their_frames(connection: Connection) -> None:
    server, client = connection
    careful, size = CarefulSocket(server), 300_000
    threads = [threading.Thread(target=careful.send, args=(letter * size,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    got = b""
    while len(got) < 3 * size:
        got += client.recv(1 << 16)
    for thread in threads:
        thread.join()
    assert sorted({got[:size], got[size : 2 * size], got[2 * size :]}) == [b"a" * size, b"b" * size, b"c" * size]


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
