"""Several api processes on one Redis: one order, one set of ids, and what an outage of Redis looks like."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from devicehub.core import redis
from devicehub.core.events import emit
from devicehub.extensions import socketio
from tests.conftest import LiveServer, Servers, wait_until
from tests.factories import Account, make_account, make_device
from tests.realtime.clients import Socket, Stream, slow_socket, socket_of, stream_of, tell_much

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.xdist_group("pair")]

Pair = tuple[LiveServer, LiveServer]
Listener = Socket | Stream


def beat(server: LiveServer, account: Account, device: dict[str, Any], number: int) -> None:
    answer = httpx.post(
        f"{server.url}/api/devices/{device['id']}/heartbeat",
        json={"metrics": {"number": number}},
        headers=account.headers,
        timeout=10,
    )
    assert answer.status_code == 200, answer.text


def numbers(listener: Listener) -> list[int]:
    return [heartbeat["metrics"]["number"] for heartbeat in listener.named("device-heartbeat")]


def ids(listener: Listener) -> list[str | None]:
    if isinstance(listener, Stream):
        return [event.get("id") for event in listener.heard if event.get("event") not in (None, "connected")]
    return [payload["id"] for event, payload in listener.heard if event != "connected"]


def listeners_of(pair: Pair, account: Account, stack: ExitStack) -> list[Listener]:
    sockets = [stack.enter_context(socket_of(server.url, account)) for server in pair]
    return [*sockets, *(stack.enter_context(stream_of(server.url, account)) for server in pair)]


def test_two_processes_hear_the_same_events_in_the_same_order_with_the_same_ids(pair: Pair) -> None:
    account = make_account()
    devices = [make_device(account.actor) for _ in range(6)]
    with ExitStack() as stack:
        everyone = listeners_of(pair, account, stack)
        threads = [
            threading.Thread(
                target=lambda n=n: [beat(pair[n % 2], account, devices[n], 100 * n + i) for i in range(20)]
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for listener in everyone:
            listener.wait_for("device-heartbeat", 120)
        heard = [ids(listener) for listener in everyone]
    rows = redis.current().client.xrange(f"events:{account.actor.organization_id}")
    after = everyone[0].named("connected")[0]["lastEventId"]
    stored = [entry_id.decode() for entry_id, _ in rows]
    assert heard[0] == stored[stored.index(after) + 1 :]
    assert heard[1:] == heard[:1] * 3


def test_nothing_is_lost_between_being_let_in_and_the_first_event(pair: Pair) -> None:
    """Sockets and streams come while others publish without a pause; each hears all that follows its greeting."""
    account = make_account()
    enough = threading.Event()
    state = {
        "device_id": "65f000000000000000000003",
        "status": "active",
        "presence": "online",
        "last_active_at": None,
    }

    def publish() -> None:
        number = 0
        while not enough.is_set():
            emit("device.heartbeat", account.actor, **state, metrics={"number": (number := number + 1)})

    publisher = threading.Thread(target=publish)
    publisher.start()
    with ExitStack() as stack:
        stack.callback(enough.set)
        everyone = [listener for _ in range(4) for listener in listeners_of(pair, account, stack)]
        enough.set()
        publisher.join()
        emit("device.heartbeat", account.actor, **state, metrics={"number": -1})
        for listener in everyone:
            wait_until(lambda listener=listener: numbers(listener)[-1:] == [-1], 20, "the last event")
    rows = redis.current().client.xrange(f"events:{account.actor.organization_id}")
    stored = [entry_id.decode() for entry_id, _ in rows]
    greeted_at = [listener.named("connected")[0]["lastEventId"] for listener in everyone]
    assert len(set(greeted_at)) > 1
    for listener, greeted in zip(everyone, greeted_at, strict=True):
        assert ids(listener) == stored[stored.index(greeted) + 1 :]


def test_without_redis_a_process_tells_its_own_and_with_it_everyone_hears_again(
    pair: Pair, servers: Servers
) -> None:
    account = make_account()
    device = make_device(account.actor)
    here, there = pair
    with ExitStack() as stack:
        everyone = listeners_of(pair, account, stack)
        mine, other, my_stream, other_stream = everyone
        servers.redis.stop()
        try:
            beat(here, account, device, 1)
            for listener in (mine, my_stream):
                wait_until(lambda listener=listener: 1 in numbers(listener), what="the event, here")
                assert listener.named("device-heartbeat")[-1]["id"] is None
            with socket_of(here.url, account) as newcomer:
                assert newcomer.named("connected")[0]["lastEventId"] is None or newcomer.heard
                beat(here, account, device, 2)
                wait_until(lambda: 2 in numbers(newcomer), what="the event, by a newcomer")
                assert newcomer.call("device-status-request", {"deviceId": device["id"]})["ok"]
        finally:
            servers.restart_redis()
        assert numbers(other) == numbers(other_stream) == []
        _beat_until_heard(here, account, device, everyone)
        _beat_until_heard(there, account, device, everyone)
        assert all(listener.named("device-heartbeat")[-1]["id"] for listener in everyone)
        assert all(len(listener.named("connected")) == 1 for listener in everyone)


def _beat_until_heard(
    server: LiveServer, account: Account, device: dict[str, Any], everyone: list[Listener]
) -> None:
    last = max((number for listener in everyone for number in numbers(listener)), default=0)
    sent = iter(range(last + 1, last + 10_000))

    def is_heard_by_all() -> bool:
        number = next(sent)
        beat(server, account, device, number)
        return all(set(numbers(listener)) & set(range(last + 1, number + 1)) for listener in everyone)

    wait_until(is_heard_by_all, 20, "everyone to hear again")


def test_redis_emptied_under_way_is_heard_on(pair: Pair) -> None:
    account = make_account()
    device = make_device(account.actor)
    with ExitStack() as stack:
        everyone = listeners_of(pair, account, stack)
        beat(pair[0], account, device, 1)
        for listener in everyone:
            wait_until(lambda listener=listener: 1 in numbers(listener), what="the first event")
        redis.current().client.flushall()
        beat(pair[0], account, device, 2)
        beat(pair[1], account, device, 3)
        for listener in everyone:
            wait_until(lambda listener=listener: 3 in numbers(listener), what="the last event")
        assert [numbers(listener) for listener in everyone] == [[1, 2, 3]] * 4
        assert len({tuple(ids(listener)) for listener in everyone}) == 1


def test_the_queue_carries_disconnects_and_emits_of_other_processes_also_after_an_outage(
    live_server: LiveServer, servers: Servers
) -> None:
    """From this process, which serves nobody, to a socket of the server's."""
    account = make_account()
    with socket_of(live_server.url, account) as socket:
        sid = socket.client.get_sid()
        servers.redis.stop()
        socketio.server.emit("from-afar", {"heard": False}, to=sid)
        servers.restart_redis()

        def emitted() -> bool:
            socketio.server.emit("from-afar", {"heard": True}, to=sid)
            return bool(socket.named("from-afar"))

        wait_until(emitted, 20, "an emit of another process")
        assert socket.named("from-afar")[0] == {"heard": True}
        socketio.server.disconnect(sid)
        wait_until(lambda: not socket.client.connected, what="the disconnect")


def test_a_process_that_is_told_to_end_ends_its_streams_and_sockets_first(
    serve: Callable[..., LiveServer],
) -> None:
    """Also those for whom gunicorn would wait: who does not read, who polls, and who keeps a connection."""
    server, account = serve(), make_account()
    with ExitStack() as stack:
        socket = stack.enter_context(socket_of(server.url, account))
        stream = stack.enter_context(stream_of(server.url, account))
        polling = stack.enter_context(socket_of(server.url, account, transports=["polling"]))
        for _ in range(3):
            kept = stack.enter_context(httpx.Client(base_url=server.url))
            assert kept.get("/health/live").status_code == 200
        slow = slow_socket(server.url, account)
        stack.callback(slow.close)
        for told in range(10, 310, 10):  # who falls a megabyte behind is cut off, the reader here too
            tell_much(account.actor, 10)
            stream.wait_for("device-heartbeat", told)
        server.process.terminate()
        wait_until(lambda: stream.ended and not socket.client.connected, what="both to end")
        wait_until(lambda: not polling.client.connected, what="the polling one to end")
        assert server.process.wait(10) == 0
        for one in (socket, polling):
            assert 1000 <= one.named("server-draining")[0]["retryInMs"] <= 5000
        assert stream.retry[0] == 3000 != stream.retry[-1]
        assert 1000 <= stream.retry[-1] <= 5000
