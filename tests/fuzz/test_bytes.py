"""Requests that are HTTP and little else: what no client would send, and schemathesis cannot."""

import re
import socket
from http.client import HTTPResponse
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import LiveServer
from tests.factories import Account, make_device
from tests.fuzz.conftest import CAMPAIGN, examples

HERE = b"{id}"  # where the id of a device that exists goes
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "M-SEARCH", "get"]
ADDRESSES = [
    b"/api/devices", b"/api/devices/{id}", b"/api/devices/{id}/heartbeat", b"/api/devices/batch", b"/api/devices/heartbeats", b"/api/v1/devices",
    b"/api/users/profile", b"/api/auth/login", b"/api/auth/refresh", b"/api/auth/logout", b"/health", b"/docs",
]  # fmt: skip
ENDS = [b"", b"/", b"//", b"/x", b"/%2F", b"?", b"?%00=%FF&a[$gt]=&=&;", b"?limit=1&limit=\xff", b"?page=1%30"]
SEGMENTS = [
    b"api", b"v1", b"devices", b"batch", b"heartbeat", b"users", b"profile", b"auth", b"login", b"logout", b"health",
    b"docs", b"openapi.json", HERE, b"", b".", b"..", b"%2e%2e", b"%2F", b"%5C", b"%00", b"%0d%0a", b"%FF", b"%25", b"%",
    b"%zz", b"%ED%A0%80", b"%E2%80%AE", b"\xff", b"\xc3\xa9", b"a;b=c", b"~", b"{}", b'"', b"x" * 1000,
]  # fmt: skip
NAMES = [
    "Accept", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Authorization",
    "Cache-Control", "Content-Encoding", "Content-Type", "Cookie", "Date", "Forwarded", "Idempotency-Key", "If-Match",
    "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Origin", "Range", "Referer", "User-Agent",
    "X-API-Key", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-HTTP-Method-Override", "X-Request-ID",
]  # fmt: skip
VALUES = [
    b"", b"*", b'"', b'""', b'W/""', b'"1."', b'"99999999999999999999.x"', b'"1.a", "2.b"', b"1" * 5000, b"\xff\xfe",
    b"application/json", b"application/json;", b"application/json; charset=utf-16", b"multipart/form-data", b"*/*;q=x",
    b"Bearer", b"Bearer a.b.c", b"Bearer \xe9", b"Basic Og==", b"bearer  x", b"no-cache", b"max-age=x", b"identity",
    b"gzip", b"identity, gzip", b"bytes=0-", b"bytes=-1", b"bytes=9-1", b"Thu, 01 Jan 1970 00:00:00 GMT", b"null",
    b"Thu, 32 Jan 99999 00:00:00 GMT", b"https://evil.example", b"a\tb", b"=;=;", b"$x=1", b"GET",
]  # fmt: skip
BODIES = [
    b"", b"{}", b"[]", b"null", b'"x"', b"{", b"\xff", b"\x00", b"\xef\xbb\xbf{}", b"1" * 5000, b'{"a":1,"a":2}',
    b"[" * 9000, b'{"a":' * 40 + b"1" + b"}" * 40, b'{"name":"\\u0000","type":"ab"}', b'{"devices":[{"tags":[0]}]}',
    b'{"metrics":{"":1}}', b'{"metrics":{"a.b":1}}', b'{"metrics":{"$a":1}}', b'{"metadata":{"a":{"$b":{"":null}}}}',
    b'{"sentAt":"0001-01-01T00:00:00+23:59"}', b'{"sentAt":"9999-12-31T23:59:59-23:59"}',
    b'{"name":"ab","type":"ab","heartbeatInterval":6e1}', b'{"name":"ab","type":"ab","heartbeatInterval":1e400}',
]  # fmt: skip


def addresses() -> st.SearchStrategy[bytes]:
    made_up = st.lists(st.sampled_from(SEGMENTS), max_size=6).map(lambda segments: b"/" + b"/".join(segments))
    return made_up | st.builds(bytes.__add__, st.sampled_from(ADDRESSES), st.sampled_from(ENDS))


def headers() -> st.SearchStrategy[dict[str, bytes]]:
    octets = st.binary(max_size=20).map(lambda value: re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b"", value).strip())
    return st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | octets, max_size=4)


def answer_to(server: LiveServer, method: str, *lines: bytes, body: bytes) -> tuple[HTTPResponse, bytes]:
    """What the server makes of these bytes."""
    url = httpx.URL(server.url)
    framing = (b"Host: devicehub", b"Content-Length: %d" % len(body), b"Connection: close", b"")
    with socket.create_connection((url.host, url.port or 80), timeout=30) as connection:
        connection.sendall(b"\r\n".join([*lines, *framing, body]))
        with HTTPResponse(connection, method=method) as response:
            response.begin()
            return response, response.read()


@pytest.mark.actor()
def test_whatever_is_asked_the_answer_is_in_order(live_server: LiveServer, account: Account) -> None:
    """No server error, every refusal a problem, and the id of the request on everything."""
    known = make_device(account.actor)["id"].encode()
    signed = {"Authorization": b"Bearer " + account.access_token.encode(), "Content-Type": b"application/json"}

    @settings(
        max_examples=examples(150),
        derandomize=not CAMPAIGN,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(METHODS), addresses(), st.sampled_from([{}, signed]), headers(), st.sampled_from(BODIES)
    )
    def ask(method: str, address: bytes, sound: dict[str, bytes], odd: dict[str, bytes], body: bytes) -> None:
        start = b"%s %s HTTP/1.1" % (method.encode(), address.replace(HERE, known))
        lines = [b"%s: %s" % (name.encode(), value) for name, value in (sound | odd).items()]
        response, content = answer_to(live_server, method, start, *lines, body=body)
        assert response.status < 500, content
        assert re.fullmatch("[A-Za-z0-9._-]{1,128}", response.headers["X-Request-ID"])
        if response.status >= 400 and method != "HEAD":
            problem: dict[str, Any] = orjson.loads(content)
            assert response.headers["Content-Type"] == "application/problem+json"
            assert problem["status"] == response.status
            assert problem["requestId"] == response.headers["X-Request-ID"]

    ask()
