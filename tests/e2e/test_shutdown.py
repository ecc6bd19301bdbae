"""How an api process ends: told by SIGTERM, with all kinds of clients still there."""

import json
import re
import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
import socketio
from flask import Flask

from devicehub.core.config import Settings
from tests.conftest import LiveServer, start_server, wait_until
from tests.factories import Account, make_account

# gunicorn waits 20 s for whom it takes to be in a request; the bound tells that it did not.
SOON_S = 10
# A request whose body is sent when the test wants it to go on.
BODY = json.dumps({"email": "nobody@example.com", "password": "correct horse battery"}).encode()
HEAD = (
    b"POST /api/auth/login HTTP/1.1\r\nHost: devicehub\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % len(BODY)
)


@pytest.fixture
def server(serve: Callable[..., LiveServer]) -> Iterator[LiveServer]:
    """A process of this test's own."""
    started = serve()
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.fixture
def launched(settings: Settings, app: Flask) -> Iterator[LiveServer]:
    """One more, by the command that is typed: its arbiter has been patched by nobody."""
    started = start_server(settings, {})
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.fixture
def account(app: object) -> Account:
    return make_account()


def address(server: LiveServer) -> tuple[str, int]:
    url = httpx.URL(server.url)
    assert url.port
    return url.host, url.port


def is_listening(server: LiveServer) -> bool:
    try:
        socket.create_connection(address(server), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_socket_is_let_go_at_once_and_told(server: LiveServer, account: Account, transport: str) -> None:
    client, reasons = socketio.Client(reconnection=False), []
    client.on("disconnect", reasons.append)
    client.connect(server.url, auth={"token": account.access_token}, transports=[transport])

    server.process.terminate()

    assert server.process.wait(SOON_S) == 0
    wait_until(lambda: reasons, what="the client to be told")
    client.shutdown()


def test_a_stream_is_ended_at_once(server: LiveServer, account: Account) -> None:
    with httpx.stream("GET", f"{server.url}/api/sse/events", headers=account.headers) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: connected"

        server.process.terminate()

        assert server.process.wait(SOON_S) == 0
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)  # cut short, so that an EventSource comes back by itself


def test_a_client_that_only_keeps_its_connection_is_not_waited_for(server: LiveServer) -> None:
    with httpx.Client() as client:
        assert client.get(f"{server.url}/health/live").status_code == 200

        server.process.terminate()

        assert server.process.wait(SOON_S) == 0


def test_who_keeps_the_connection_after_a_request_in_flight_is_not_waited_for(server: LiveServer) -> None:
    with (
        socket.create_connection(address(server), timeout=SOON_S) as idle,
        socket.create_connection(address(server), timeout=SOON_S) as connection,
        connection.makefile("rb") as answers,
    ):
        idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: devicehub\r\n\r\n")
        assert idle.recv(9) == b"HTTP/1.1 "
        connection.sendall(HEAD)
        assert answers.readline().startswith(b"HTTP/1.1 100"), "the request has not begun"
        server.process.terminate()
        while idle.recv(1024):  # until it has let go of those who were only keeping a connection
            pass

        connection.sendall(BODY)

        answers.readline()
        assert answers.readline().startswith(b"HTTP/1.1 401")
        assert server.process.wait(SOON_S) == 0


def test_a_request_in_flight_is_answered_and_the_next_is_told_to_go_elsewhere(launched: LiveServer) -> None:
    with (
        socket.create_connection(address(launched), timeout=SOON_S) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(HEAD)
        assert answers.readline().startswith(b"HTTP/1.1 100"), "the request has not begun"
        # Its one thread has time for others, so it waits for the body now.
        assert httpx.get(f"{launched.url}/health/live").is_success
        launched.process.terminate()
        wait_until(lambda: not is_listening(launched), what="the server to stop accepting")

        connection.sendall(BODY + b"GET /health/ready HTTP/1.1\r\nHost: devicehub\r\n\r\n")

        assert re.findall(rb"HTTP/1.1 (\d+)", answers.read()) == [b"401", b"503"]
    assert launched.process.wait(SOON_S) == 0
