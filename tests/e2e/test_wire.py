"""What the server makes of connections that are not quite HTTP."""

import re
import socket

import httpx

from tests.conftest import LiveServer

# Longer than any deadline of the server: a test that gets no answer fails by it.
PATIENCE_S = 30


def opened(server: LiveServer, sent: bytes) -> socket.socket:
    """A connection over which this has been sent."""
    url = httpx.URL(server.url)
    connection = socket.create_connection((url.host, url.port or 80), timeout=PATIENCE_S)
    connection.sendall(sent)
    return connection


def answer_on(connection: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    with connection, connection.makefile("rb") as answers:
        return answers.read()


def test_who_sends_no_request_or_half_of_one_or_no_other_is_hung_up_on(live_server: LiveServer) -> None:
    silent = opened(live_server, b"")
    halting = opened(live_server, b"GET /health/live HTTP/1.1\r\nHost: dev")
    lingering = opened(live_server, b"GET /health/live HTTP/1.1\r\nHost: devicehub\r\n\r\n")

    assert answer_on(silent) == b""
    assert answer_on(halting) == b""
    assert answer_on(lingering).startswith(b"HTTP/1.1 200 ")


def test_a_body_of_two_lengths_is_refused(live_server: LiveServer) -> None:
    """Of the two, a proxy might believe the other one: request smuggling."""
    connection = opened(
        live_server,
        b"POST /api/auth/login HTTP/1.1\r\nHost: devicehub\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: devicehub\r\n\r\n",
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", answer_on(connection)) == [b"400"]


def test_forwarded_headers_of_strangers_mean_nothing(live_server: LiveServer) -> None:
    """Not even from the loopback, whom gunicorn believes by itself."""
    told = {"X-Forwarded-Proto": "https", "SCRIPT_NAME": "/health"}
    answer = httpx.get(f"{live_server.url}/health/live", headers=told)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers
