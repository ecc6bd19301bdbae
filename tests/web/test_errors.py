"""Whatever fails is told as a problem, and nothing of the inside with it."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.users.models import User
from tests.conftest import LiveServer
from tests.factories import Account, make_account
from tests.web.refusals import refused

Logged = Callable[..., list[dict[str, Any]]]

# Its servers are started once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("hooks")


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api", "/api/nowhere", "/api/users/profile/more", "/health/x", "//api", "/api/%FF"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PROPFIND"])
def test_an_unknown_address_is_not_found(client: FlaskClient, method: str, path: str) -> None:
    refused(client.open(path, method=method), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/users/profile", {"GET", "HEAD", "OPTIONS", "PUT", "PATCH"}),
        ("GET", "/api/auth/login", {"POST", "OPTIONS"}),
        ("PUT", "/api/devices", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", "/health", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/openapi.json", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_a_method_that_is_not_allowed_is_told_which_are(
    client: FlaskClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = client.open(path, method=method)
    refused(answer, 405, "METHOD_NOT_ALLOWED")
    assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.actor()
@pytest.mark.parametrize("path", ["/api/users/profile", "/api/devices", "/health", "/openapi.json"])
def test_the_head_of_an_answer_is_that_of_the_whole(client: FlaskClient, path: str) -> None:
    head, whole = client.head(path), client.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]
    assert head.headers["Content-Length"] == whole.headers["Content-Length"] or path == "/health"


def test_the_head_of_a_refusal_has_no_body_either(client: FlaskClient) -> None:
    head = client.head("/api/users/profile")
    assert (head.status_code, head.data) == (401, b"")


def test_what_is_allowed_is_told_to_anybody(client: FlaskClient) -> None:
    answer = client.options("/api/users/profile")
    assert answer.status_code == 200
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PUT", "PATCH"}


@pytest.mark.actor()
def test_what_nobody_foresaw_is_ours_and_its_inside_stays_in_the_log(
    client: FlaskClient, account: Account, logged: Logged
) -> None:
    user = User.objects(id=ObjectId(account.actor.user_id))
    user.update(unset__created_at=1, set__name="mongodb://root:hunter2@db")  # a document no code of ours makes
    problem = refused(client.get("/api/users/profile"), 500, "INTERNAL_ERROR")
    assert problem["detail"] == "Something went wrong on our side."
    told = str(problem)
    assert not any(word in told for word in ("Traceback", "AttributeError", "NoneType", "hunter2", ".py"))
    [line] = logged("request.failed")
    assert line["level"] == "error" and "AttributeError" in line["exception"]
    assert line["request_id"] == problem["requestId"]
    [request] = logged("request")
    assert (request["status"], request["error"]) == (500, "INTERNAL_ERROR")


def test_a_problem_names_what_was_asked_for_and_not_how(client: FlaskClient) -> None:
    problem = refused(client.get("/api/v1/nowhere?token=hunter2"), 404)
    assert problem["instance"] == "/api/nowhere"


def raw(server: LiveServer, request: bytes) -> bytes:
    """All that a server says to these bytes until it hangs up."""
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/refresh", "/api/auth/logout"])
@pytest.mark.parametrize(
    "chunks", ["ZZ\r\n{}\r\n0\r\n\r\n", "5\r\n{}\r\n0\r\n\r\n", "-2\r\n{}\r\n0\r\n\r\n", "5\r\n{}"]
)
def test_broken_chunks_are_malformed_and_hide_no_second_request(
    live_server: LiveServer, app: Any, path: str, chunks: str
) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    hidden = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = raw(live_server, f"{head}{chunks}{hidden}".encode())
    assert answers.count(b"HTTP/1.1 ") == 1
    assert answers.startswith(b"HTTP/1.1 400 ") and b'"code":"MALFORMED_REQUEST"' in answers


def chunks(of: bytes, count: int) -> Iterator[bytes]:
    """A body nobody knows the length of."""
    for _ in range(count):
        yield of


def test_a_body_of_unknown_length_is_too_large_as_soon_as_it_is(live_server: LiveServer, app: Any) -> None:
    ada = make_account()
    sent = chunks(b'{"name": "' + b"x" * 65_526, 161)
    answer = httpx.put(
        f"{live_server.url}/api/users/profile",
        content=sent,
        headers=ada.headers | {"Content-Type": "application/json"},
        timeout=30,
    )
    refused(answer, 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/logout", "/api/auth/refresh"])
def test_a_body_of_unknown_length_must_say_what_it_is(live_server: LiveServer, app: Any, path: str) -> None:
    answer = httpx.post(live_server.url + path, content=chunks(b'{"refreshToken": "x"}', 1))
    refused(answer, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_of_unknown_length_is_read_like_any_other(live_server: LiveServer, app: Any) -> None:
    ada = make_account()
    answer = httpx.patch(
        f"{live_server.url}/api/users/profile",
        content=chunks(b'{"name": "Ada Byron"}', 1),
        headers=ada.headers | {"Content-Type": "application/json"},
    )
    assert (answer.status_code, answer.json()["name"]) == (200, "Ada Byron")


@pytest.mark.parametrize("length", ["10485761", "9" * 18])
def test_a_length_that_is_too_large_is_refused_before_the_body_comes(live_server: LiveServer, length: str) -> None:
    host = live_server.url.removeprefix("http://")
    with closing(HTTPConnection(host, timeout=10)) as connection:
        connection.putrequest("POST", "/api/auth/login")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", length)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["code"] == "PAYLOAD_TOO_LARGE"
