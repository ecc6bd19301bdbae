"""Heartbeats with a device's key are answered before Flask, as Flask would answer them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from bson import ObjectId
from flask import Flask, request_started

from devicehub.core import clock as system_clock
from devicehub.devices import heartbeats, keys
from devicehub.devices.models import Device
from devicehub.web import beats
from tests.conftest import LiveServer, Servers
from tests.factories import Account, bearing, make_account, make_device, make_device_key
from tests.web.refusals import refused

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"
ORIGIN = "https://app.example.org"
# It says nothing to this route, and sends a request to Flask.
THE_LONG_WAY = {"Idempotency-Key": "the long way"}
OF_THE_MOMENT = {"X-Request-ID", "X-Response-Time", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"}

Using = Callable[..., AbstractContextManager[None]]
Logged = Callable[..., list[dict[str, Any]]]

# Some of them stop the servers that all tests of a worker share.
pytestmark = pytest.mark.xdist_group("outage")

GOOD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an empty object": {"json": {}},
    "metrics": {"json": {"metrics": {"temperature": 21.5, "battery": 87}}},
    "all there is": {
        "json": {
            "status": "maintenance",
            "firmwareVersion": "1.4.2",
            "metrics": {},
            "sentAt": "2026-01-31T12:00:00.000Z",
        }
    },
    "snake case": {"json": {"firmware_version": "1.4.2"}},
    "a goodbye": {"json": {"goodbye": True, "reason": "maintenance"}},
    "its own request id": {"json": {}, "headers": {"X-Request-ID": "abc-1"}},
    "the version in its path": {"json": {}, "path": "/api/v1/devices/{}/heartbeat"},
    "its id in capitals": {"json": {}, "path": "/api/devices/{upper}/heartbeat"},
    "a kind with a charset": {"data": b"{}", "content_type": "application/json; charset=utf-8"},
    "outer blanks": {"json": {"firmwareVersion": " 1.4.2 "}},
}
BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "an unknown field": (422, {"json": {"colour": "red"}}),
    "an unknown status": (422, {"json": {"status": "on"}}),
    "a metric that is true": (422, {"json": {"metrics": {"a": True}}}),
    "too many metrics": (422, {"json": {"metrics": {f"m{n}": n for n in range(51)}}}),
    "a list": (422, {"json": []}),
    "a query": (422, {"json": {}, "query_string": "a=1"}),
    "no JSON": (400, {"data": b"{", "content_type": "application/json"}),
    "a number too large": (
        400,
        {"data": b'{"metrics":{"a":9223372036854775808}}', "content_type": "application/json"},
    ),
    "text": (415, {"data": b"alive", "content_type": "text/plain"}),
    "a kind of nothing": (415, {"content_type": "text/plain"}),
    "an encoding": (
        415,
        {"data": b"{}", "content_type": "application/json", "headers": {"Content-Encoding": "gzip"}},
    ),
    "a wrong secret": (401, {"json": {}, "credential": f"dhd_{UNKNOWN}_{'x' * 43}"}),
    "half a key": (401, {"json": {}, "credential": "dhd_1"}),
    "two keys": (401, {"json": {}, "headers": {"X-API-Key": "dhk_1"}}),
    "an unknown device": (404, {"json": {}, "path": f"/api/devices/{UNKNOWN}/heartbeat"}),
    "a malformed id": (404, {"json": {}, "path": "/api/devices/x/heartbeat"}),
    "another method": (405, {"json": {}, "method": "PUT"}),
}


@pytest.fixture
def device_id(account: Account) -> str:
    return str(make_device(account.actor)["id"])


@pytest.fixture
def key(account: Account, device_id: str) -> str:
    return make_device_key(account.actor, device_id)


@pytest.fixture
def send(app: Flask, device_id: str, key: str) -> Callable[..., Any]:
    """Send a heartbeat of the device with its key, or what differs from that."""

    def ask(
        *,
        path: str = "/api/devices/{}/heartbeat",
        credential: str = key,
        headers: dict[str, str] | None = None,
        method: str = "POST",
        **body: Any,
    ) -> Any:
        where = path.format(device_id, upper=device_id.upper())
        return app.test_client().open(where, method=method, headers=bearing(credential) | (headers or {}), **body)

    return ask


@contextmanager
def reaching_flask(app: Flask) -> Iterator[list[Any]]:
    """The requests that come to Flask in this block."""
    seen: list[Any] = []

    def note(*_: Any, **__: Any) -> None:
        seen.append(1)

    with request_started.connected_to(note, app):
        yield seen


def the_long_way(send: Callable[..., Any], asked: dict[str, Any]) -> Any:
    return send(**asked | {"headers": {**asked.get("headers", {}), **THE_LONG_WAY}})


def same_headers(one: Any, other: Any) -> None:
    """The same headers, and of those that do not tell of the moment the same values."""
    assert {name for name, _ in one.headers} == {name for name, _ in other.headers}
    for name in {name for name, _ in one.headers} - OF_THE_MOMENT:
        assert one.headers.getlist(name) == other.headers.getlist(name), name


@pytest.mark.actor()
def test_without_a_key_of_ones_own_nothing_is_taken(
    app: Flask, account: Account, device_id: str, key: str, send: Callable[..., Any]
) -> None:
    refused(app.test_client().post(f"/api/devices/{device_id}/heartbeat"), 401, "AUTHENTICATION_REQUIRED")
    stranger = make_account().actor
    theirs = make_device(stranger)["id"]
    sibling = make_device(account.actor)["id"]
    for other in (theirs, sibling):
        refused(send(path=f"/api/devices/{other}/heartbeat", json={}), 404, "DEVICE_NOT_FOUND")
    refused(send(credential=make_device_key(stranger, theirs), json={}), 404, "DEVICE_NOT_FOUND")
    refused(send(credential=key[:-43] + "x" * 43, json={}), 401, "INVALID_TOKEN")
    assert {device.presence for device in Device.objects} == {"never_seen"}


@pytest.mark.actor()
def test_a_sound_beat_never_comes_to_flask(app: Flask, send: Callable[..., Any], device_id: str) -> None:
    with reaching_flask(app) as seen:
        answer = send(json={"metrics": {"temperature": 21.5}})
    assert answer.status_code == 200 and not seen
    assert answer.json["deviceId"] == device_id and answer.json["presence"] == "online"
    assert Device.objects.get(id=ObjectId(device_id)).metrics == {"temperature": 21.5}


@pytest.mark.actor()
@pytest.mark.parametrize("name", GOOD)
def test_both_ways_give_the_same_answer(send: Callable[..., Any], name: str) -> None:
    one, other = send(**GOOD[name]), the_long_way(send, GOOD[name])
    assert one.status_code == other.status_code == 200, one.text
    same_headers(one, other)
    moment = {"lastActiveAt", "serverTime"}
    told = [
        {field: value for field, value in answer.json.items() if field not in moment} for answer in (one, other)
    ]
    assert told[0] == told[1] and one.json.keys() == other.json.keys()


@pytest.mark.actor()
@pytest.mark.parametrize("name", BAD)
def test_both_ways_refuse_with_the_same_words(app: Flask, send: Callable[..., Any], name: str) -> None:
    status, asked = BAD[name]
    with reaching_flask(app) as seen:
        one = send(**asked)
    other = the_long_way(send, asked)
    assert one.status_code == other.status_code == status, one.text
    assert len(seen) == 1
    same_headers(one, other)
    assert one.json | {"requestId": ""} == other.json | {"requestId": ""}


@pytest.mark.actor()
def test_what_a_page_sends_comes_to_flask(app: Flask, send: Callable[..., Any]) -> None:
    with reaching_flask(app) as seen:
        assert send(json={}, headers={"Origin": ORIGIN}).status_code == 200
        assert send(json={"metrics": {"m" * 100: 1}, "firmwareVersion": "1" + " " * 5000}).status_code == 422
    assert len(seen) == 2


@pytest.mark.actor()
def test_a_revoked_key_is_refused_at_once(
    account: Account, send: Callable[..., Any], key: str, device_id: str
) -> None:
    assert send(json={}).status_code == 200
    keys.revoke(account.actor, device_id, key[4:28])
    refused(send(json={}), 401, "TOKEN_REVOKED")


@pytest.mark.actor()
def test_both_ways_count_in_one_window(using: Using, send: Callable[..., Any]) -> None:
    with using(ingest_rate_limit="4 per minute"):
        answers = [
            send(json={}),
            the_long_way(send, {"json": {}}),
            send(json={}),
            the_long_way(send, {"json": {}}),
        ]
        left = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
        assert left == ["3", "2", "1", "0"]
        assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"4"}
        resets = [int(answer.headers["X-RateLimit-Reset"]) for answer in answers]
        assert max(resets) - min(resets) <= 1
        one, other = send(json={}), the_long_way(send, {"json": {}})
    for answer in (one, other):
        refused(answer, 429, "RATE_LIMIT_EXCEEDED")
    same_headers(one, other)


@pytest.mark.actor()
def test_of_beats_at_once_exactly_as_many_are_taken_as_the_window_holds(
    using: Using, send: Callable[..., Any]
) -> None:
    with using(ingest_rate_limit="10 per minute"), ThreadPoolExecutor(25) as callers:
        answers = [ask.result() for ask in [callers.submit(send, json={}) for _ in range(25)]]
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 15


@pytest.mark.actor()
def test_who_is_refused_too_often_is_held_back(using: Using, send: Callable[..., Any]) -> None:
    with using(general_rate_limit="2 per minute"):
        assert [send(json={"colour": "red"}).status_code for _ in range(2)] == [422, 422]
        refused(send(json={}), 429, "RATE_LIMIT_EXCEEDED")


@pytest.mark.actor()
def test_the_window_that_moves_faster_is_told_of(using: Using, send: Callable[..., Any]) -> None:
    with using(ingest_rate_limit="9 per hour", general_rate_limit="7 per minute"):
        one, other = send(json={}), the_long_way(send, {"json": {}})
    assert [answer.headers["X-RateLimit-Limit"] for answer in (one, other)] == ["7", "7"]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in (one, other)] == ["7", "7"]


@pytest.mark.actor()
def test_a_beat_of_a_device_that_is_gone_is_counted_once(
    using: Using, send: Callable[..., Any], device_id: str
) -> None:
    assert send(json={}).status_code == 200
    Device.objects(id=ObjectId(device_id)).delete()  # and its key is not known to be dead yet
    with using(ingest_rate_limit="5 per minute"):
        answer = send(json={})
    refused(answer, 404, "DEVICE_NOT_FOUND")
    assert answer.headers["X-RateLimit-Remaining"] == "4"


@pytest.mark.actor()
def test_both_ways_leave_the_same_line_in_the_log(
    send: Callable[..., Any], logged: Logged, device_id: str, key: str
) -> None:
    send(json={}, headers={"X-Request-ID": "the-one"})
    the_long_way(send, {"json": {}, "headers": {"X-Request-ID": "the-other"}})
    one, other = logged("request")
    assert (one["request_id"], other["request_id"]) == ("the-one", "the-other")
    assert one["device_id"] == device_id and one["credential_id"] == key[4:28]
    own = {"request_id", "duration_ms", "timestamp"}
    assert one.keys() == other.keys()
    assert {name: one[name] for name in one.keys() - own} == {name: other[name] for name in other.keys() - own}


@pytest.mark.actor()
def test_without_redis_beats_are_taken(servers: Servers, send: Callable[..., Any]) -> None:
    servers.redis.stop()
    try:
        assert send(json={}).status_code == 200
    finally:
        servers.restart_redis()


@pytest.mark.actor()
def test_when_mongodb_is_away_it_is_said_without_waiting_for_it_again(
    app: Flask, servers: Servers, send: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send(json={}).status_code == 200
    asked: list[int] = []
    note = heartbeats.note
    monkeypatch.setattr(heartbeats, "note", lambda signals: asked.append(len(signals)) or note(signals))  # type: ignore[func-returns-value]
    servers.mongod.kill()
    try:
        answer = send(json={})
    finally:
        servers.restart_mongod()
    refused(answer, 503, "DATABASE_UNAVAILABLE")
    assert asked == [1] and "X-RateLimit-Limit" in answer.headers


@pytest.mark.actor()
def test_a_real_server_with_pages_and_a_proxy_answers_both_ways_alike(
    serve: Callable[..., LiveServer], device_id: str, key: str
) -> None:
    server = serve(TRUSTED_PROXIES="1", ALLOWED_ORIGINS=f"{ORIGIN},https://other.example.org")
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    answers = [
        httpx.post(
            f"{server.url}/api/devices/{device_id}/heartbeat", json={}, headers=bearing(key) | proxied | further
        )
        for further in ({}, THE_LONG_WAY)
    ]
    one, other = answers
    assert one.status_code == other.status_code == 200
    assert "Strict-Transport-Security" in one.headers and "Access-Control-Allow-Origin" in one.headers
    passing = {name.lower() for name in OF_THE_MOMENT} | {"date"}
    told = [
        sorted((n.lower(), v) for n, v in answer.headers.multi_items() if n not in passing) for answer in answers
    ]
    assert told[0] == told[1]


@pytest.mark.actor()
def test_times_are_of_the_servers_clock(
    send: Callable[..., Any], clock: Callable[[float], None], device_id: str
) -> None:
    clock(90)
    answer = orjson.loads(send(json={}).data)
    heard = Device.objects.get(id=ObjectId(device_id)).last_active_at
    assert answer["lastActiveAt"] == system_clock.rfc3339(heard)
    assert heard > system_clock.now() - timedelta(seconds=60)


def test_the_rule_is_the_routers(app: Flask) -> None:
    assert beats.RULE in {rule.rule for rule in app.url_map.iter_rules()}
