"""Coming back: what was missed is told once, in order, before anything new; or it is said that it cannot be."""

import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import websocket

from devicehub.audit import service as audit
from devicehub.core import redis
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.realtime.hub import ours
from devicehub.realtime.log import CHUNK, EPOCH, Entry
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, join, make_account
from tests.realtime.clients import Socket, Stream, socket_of, stream_of

pytestmark = pytest.mark.usefixtures("app")

# `CUTS=100` for the whole of it.
CUTS = int(os.environ.get("CUTS", "12"))
EVENTS_A_SECOND = 50

DEVICES = [f"65f00000000000000000000{n}" for n in range(1, 4)]
Opened = Callable[..., Any]
KINDS = pytest.mark.parametrize("opened", [socket_of, stream_of], ids=["socket", "stream"])


def change(actor: Actor, number: int, device: str = DEVICES[0]) -> None:
    emit("device.updated", actor, device_id=device, status="active", presence="online", changes={"number": number})


def beat(actor: Actor, number: int, device: str = DEVICES[0]) -> None:
    state = {"device_id": device, "status": "active", "presence": "online", "last_active_at": None}
    emit("device.heartbeat", actor, **state, metrics={"number": number})


def head(account: Account) -> str:
    return ours().events.head(account.actor.organization_id)


def changes(listener: Socket | Stream) -> list[int]:
    return [update["changes"]["number"] for update in listener.named("device-update")]


def beats(listener: Socket | Stream) -> list[int]:
    return [heartbeat["metrics"]["number"] for heartbeat in listener.named("device-heartbeat")]


def names(listener: Socket | Stream) -> list[str]:
    if isinstance(listener, Stream):
        return [event["event"] for event in listener.heard if "event" in event]
    return [name for name, _ in listener.heard]


# What is told


@KINDS
def test_who_comes_back_is_told_what_it_missed_and_then_what_happens(
    live_server: LiveServer, opened: Opened
) -> None:
    account = make_account()
    seen = head(account)
    for number in range(5):
        change(account.actor, number)
    with opened(live_server.url, account, seen=seen) as listener:
        listener.wait_for("device-update", 5)
        change(account.actor, 5)
        listener.wait_for("device-update", 6)
        assert changes(listener) == list(range(6))
        assert names(listener) == ["connected"] + ["device-update"] * 6


@KINDS
def test_a_greeting_says_where_the_client_stands(live_server: LiveServer, opened: Opened) -> None:
    """Were it the head, a client cut off between its greeting and what it missed would never hear of that."""
    account = make_account()
    seen = head(account)
    change(account.actor, 1)
    with opened(live_server.url, account, seen=seen) as listener:
        assert listener.wait_for("connected")["lastEventId"] == seen
        listener.wait_for("device-update")
    with opened(live_server.url, account) as listener:
        assert listener.wait_for("connected")["lastEventId"] == head(account)
        assert changes(listener) == []


@KINDS
def test_of_a_devices_beats_the_last_is_told_and_of_its_changes_all(
    live_server: LiveServer, opened: Opened
) -> None:
    account = make_account()
    seen = head(account)
    with audit.gathered():  # one by one, the trail would take most of the time
        for number in range(2 * CHUNK // 3):  # more than one chunk
            change(account.actor, number, random.choice(DEVICES))
            beat(account.actor, number, DEVICES[number % 3])
    with opened(live_server.url, account, seen=seen) as listener:
        beat(account.actor, -1, "65f000000000000000000009")
        wait_until(lambda: -1 in beats(listener), 20, "the last beat")
        last = 2 * CHUNK // 3
        assert changes(listener) == list(range(last))
        assert beats(listener) == [last - 3, last - 2, last - 1, -1]


def test_an_event_source_says_it_in_the_query(live_server: LiveServer) -> None:
    account = make_account()
    seen = head(account)
    change(account.actor, 1)
    stream = Stream(live_server.url, account.headers, query=f"?lastEventId={seen}")
    try:
        stream.wait_for("device-update")
        newer = stream.heard[-1]["id"]
    finally:
        stream.close()
    change(account.actor, 2)  # and when it comes back by itself, the header is the newer of the two
    stream = Stream(live_server.url, account.headers | {"Last-Event-ID": newer}, query=f"?lastEventId={seen}")
    try:
        stream.wait_for("device-update")
        assert changes(stream) == [2]
    finally:
        stream.close()


@KINDS
def test_what_was_for_somebody_else_is_not_told(live_server: LiveServer, opened: Opened) -> None:
    account, other = make_account(), make_account()
    organization_id = account.actor.organization_id
    seen = head(account)
    for user in (other, account):
        payload = json.dumps({"to": user.email}).encode()
        ours().events.publish(organization_id, Entry("notification", f"user:{user.actor.user_id}", payload))
    change(account.actor, 1)
    with opened(live_server.url, account, seen=seen) as listener:
        listener.wait_for("device-update")
        assert [told["to"] for told in listener.named("notification")] == [account.email]


def test_another_organization_is_resumed_by_joining_it(live_server: LiveServer) -> None:
    account, other = make_account(), make_account()
    join(account, other.actor.organization_id, role="viewer")
    seen = head(other)
    change(other.actor, 1)
    with socket_of(live_server.url, account) as listener:
        asked = {"organizationId": other.actor.organization_id, "lastEventId": seen}
        assert listener.call("join-organization", asked)["lastEventId"] == seen
        listener.wait_for("device-update")
        change(other.actor, 2)
        listener.wait_for("device-update", 2)
        change(account.actor, 3)
        listener.wait_for("device-update", 3)
        assert changes(listener) == [1, 2, 3]
        asked["lastEventId"] = "an-id"
        assert listener.call("join-organization", asked)["lastEventId"] == head(other)
        assert listener.wait_for("resync-required")["reason"] == "malformed"


# What cannot be told


def malformed(_: Account) -> str:
    return "' OR 1=1"


def of_another_stream(account: Account) -> str:
    milliseconds, _, sequence = head(account).partition("-")
    return f"{milliseconds}-{int(sequence) ^ EPOCH}"


def not_yet_made(account: Account) -> str:
    milliseconds, _, sequence = head(account).partition("-")
    return f"{int(milliseconds) + 1000}-{sequence}"


def outside_the_window(account: Account) -> str:
    seen = head(account)
    change(account.actor, 1)
    redis.current().client.xtrim(f"events:{account.actor.organization_id}", maxlen=1, approximate=False)
    return seen


@KINDS
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (malformed, "malformed"),
        (of_another_stream, "another_stream"),
        (not_yet_made, "not_kept"),
        (outside_the_window, "not_kept"),
    ],
)
def test_an_id_that_leads_nowhere_is_said_to(
    live_server: LiveServer, opened: Opened, made: Callable[[Account], str], reason: str
) -> None:
    account = make_account()
    with opened(live_server.url, account, seen=made(account)) as listener:
        told = listener.wait_for("resync-required")
        assert told["reason"] == reason
        assert told["lastEventId"] == listener.wait_for("connected")["lastEventId"] == head(account)
        change(account.actor, 7)
        listener.wait_for("device-update")
        assert changes(listener) == [7]
        assert names(listener) == ["connected", "resync-required", "device-update"]


@pytest.mark.parametrize("seen", [7, {"$gt": ""}, ["1-1"], "x" * 10_000])
def test_an_id_of_any_other_kind_ends_nothing(live_server: LiveServer, seen: Any) -> None:
    with socket_of(live_server.url, make_account(), seen=seen) as listener:
        assert listener.wait_for("resync-required")["reason"] == "malformed"


@KINDS
def test_a_redis_that_was_emptied_is_said_to_be(live_server: LiveServer, opened: Opened) -> None:
    account = make_account()
    change(account.actor, 1)
    seen = head(account)
    redis.current().client.flushall()
    change(account.actor, 2)
    with opened(live_server.url, account, seen=seen) as listener:
        assert listener.wait_for("resync-required")["reason"] == "another_stream"


@KINDS
def test_without_redis_it_is_said_and_the_connection_stands(
    live_server: LiveServer, servers: Servers, opened: Opened
) -> None:
    account = make_account()
    seen = head(account)
    servers.redis.stop()
    try:
        with opened(live_server.url, account, seen=seen) as listener:
            assert listener.wait_for("resync-required")["reason"] == "unavailable"
    finally:
        servers.restart_redis()


# Cut off again and again


@dataclass
class Log:
    """What a client that is cut off and comes back has heard, over all its lives."""

    seen: str | None = None
    ids: list[str] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    resyncs: int = 0

    def note(self, name: str, payload: dict[str, Any]) -> None:
        if name in ("connected", "resync-required"):
            self.resyncs += name == "resync-required"
            self.seen = payload["lastEventId"]
        elif name in ("device-update", "device-heartbeat"):
            self.seen = payload["id"]
            self.ids.append(payload["id"])
            if name == "device-update":
                self.changes.append(payload["changes"]["number"])


def live_as_socket(url: str, account: Account, log: Log, seconds: float) -> None:
    address = url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(address, timeout=10)
    ws.recv()
    ws.send("40" + json.dumps({"token": account.access_token, "lastEventId": log.seen}))
    deadline = time.monotonic() + seconds
    with suppress(websocket.WebSocketTimeoutException):
        while (left := deadline - time.monotonic()) > 0:
            ws.settimeout(left)
            message = str(ws.recv())
            if message.startswith("42"):
                log.note(*json.loads(message[2:]))
    ws.shutdown()


def live_as_stream(url: str, account: Account, log: Log, seconds: float) -> None:
    host, port = url.removeprefix("http://").split(":")
    query = f"?lastEventId={log.seen}" if log.seen else ""
    head = f"GET /api/sse/events{query} HTTP/1.0\r\nAuthorization: Bearer {account.access_token}\r\n\r\n"
    got, deadline = b"", time.monotonic() + seconds
    with socket.create_connection((host, int(port)), timeout=10) as client, suppress(TimeoutError):
        client.sendall(head.encode())
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            got += client.recv(1 << 16)
            *whole, got = got.split(b"\n\n")
            for frame in whole:
                fields = dict(line.split(": ", 1) for line in frame.decode().splitlines() if ": " in line)
                if "data" in fields:
                    log.note(fields["event"], json.loads(fields["data"]))


@pytest.fixture
def publishing() -> Iterator[Callable[[Actor], Callable[[], int]]]:
    """Publish changes and beats without a pause, until the function that is returned is called; it says how many."""
    enough, numbers, threads = threading.Event(), [0], []

    def publish(actor: Actor) -> None:
        while not enough.wait(1 / EVENTS_A_SECOND):
            if random.random() < 0.5:
                change(actor, numbers[0])
                numbers[0] += 1
            else:
                beat(actor, 0, random.choice(DEVICES))

    def begin(actor: Actor) -> Callable[[], int]:
        threads.append(threading.Thread(target=publish, args=(actor,)))
        threads[0].start()
        return end

    def end() -> int:
        enough.set()
        threads[0].join()
        return numbers[0]

    yield begin
    end()


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("pair")
@pytest.mark.parametrize("live", [live_as_socket, live_as_stream], ids=["socket", "stream"])
def test_cut_off_at_random_between_two_processes_nothing_is_missed_and_nothing_heard_twice(
    pair: tuple[LiveServer, LiveServer],
    publishing: Callable[[Actor], Callable[[], int]],
    live: Callable[[str, Account, Log, float], None],
) -> None:
    account, log = make_account(), Log()
    wait_until(lambda: live(pair[0].url, account, log, 0.3) or log.seen, 20, "the first greeting")
    end = publishing(account.actor)
    for _ in range(CUTS):
        live(random.choice(pair).url, account, log, random.uniform(0, 0.5))
    told = end()
    wait_until(lambda: live(pair[1].url, account, log, 0.5) or len(log.changes) >= told, 20, "the last change")
    stored = [
        entry_id.decode()
        for entry_id, _ in redis.current().client.xrange(f"events:{account.actor.organization_id}")
    ]
    order = {entry_id: place for place, entry_id in enumerate(stored)}
    assert log.resyncs == 0
    assert log.changes == list(range(told))
    places = [order[entry_id] for entry_id in log.ids]
    assert places == sorted(set(places))
