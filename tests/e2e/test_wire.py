"""What the server makes of connections that are not quite HTTP."""

import re
import socket
import struct

import httpx
import orjson
import pytest

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


@pytest.mark.parametrize("path", ["/health/live", "/api/devices"])
def test_an_answer_comes_in_one_piece(live_server: LiveServer, path: str) -> None:
    """Its head does not go before it: who waits for it would wake up twice."""
    asked = f"GET {path} HTTP/1.1\r\nHost: devicehub\r\nConnection: close\r\n\r\n"
    with opened(live_server, asked.encode()) as connection, connection.makefile("rb") as answers:
        head, _, body = answers.read().partition(b"\r\n\r\n")
        [length] = re.findall(rb"(?i)content-length: (\d+)", head)
        assert len(body) == int(length) > 0
        assert pieces_heard(connection) == 1


def pieces_heard(connection: socket.socket) -> int:
    """How many segments with data have come over it: `tcpi_data_segs_in` of Linux's `struct tcp_info`."""
    return int(struct.unpack_from("I", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)[0])


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


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health/live\r\n\r\n", 400),
        (b"g\xe9t /health/live HTTP/1.1\r\nHost: devicehub\r\n\r\n", 400),
        (b"GET /health/live HTTP/9.9\r\nHost: devicehub\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\nHost: devicehub\r\nX<b>: 1\r\n\r\n", 400),
        (b"GET /%s HTTP/1.1\r\nHost: devicehub\r\n\r\n" % (b"x" * 9000), 414),
        (b"GET /health/live HTTP/1.1\r\nHost: devicehub\r\nX-Much: %s\r\n\r\n" % (b"x" * 9000), 431),
    ],
)
def test_what_is_no_request_is_refused_with_a_problem(live_server: LiveServer, sent: bytes, status: int) -> None:
    """Though the application never sees it, and without a word of what was sent."""
    head, _, body = answer_on(opened(live_server, sent)).partition(b"\r\n\r\n")
    problem = orjson.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Type: application/problem+json\r\n" in head
    assert b"X-Request-ID: %s\r\n" % problem["requestId"].encode() in head
    assert problem["status"] == status
    assert problem["code"] == ("URI_TOO_LONG" if status == 414 else "MALFORMED_REQUEST")
    assert b"X-Much" not in body and b"<b>" not in body and b"xxxx" not in body
