"""Clients of the live server, as people write them: python-socketio's, and a reader of `text/event-stream`."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import engineio
import httpx
import socketio
import websocket

from devicehub.core.actor import Actor
from devicehub.core.events import emit
from tests.conftest import wait_until
from tests.factories import Account

Heard = tuple[str, dict[str, Any]]

# What was not UTF-8 would not be decoded. websocket-client looks at each byte before that, in Python.
NOT_CHECKED_TWICE = {"skip_utf8_validation": True}


class OrderedEngine(engineio.Client):
    """engine.io's client gives each message a thread of its own; this one keeps their order."""

    def _trigger_event(self, event: str, *args: Any, **_: Any) -> Any:
        return super()._trigger_event(event, *args)


class OrderedClient(socketio.Client):
    def _handle_disconnect(self, namespace: str) -> None:
        """Elsewhere than in the thread that reads, which this waits for."""
        threading.Thread(target=super()._handle_disconnect, args=(namespace,), daemon=True).start()

    def _engineio_client_class(self) -> type[OrderedEngine]:
        return OrderedEngine


class Socket:
    """A Socket.IO client that writes down what it hears."""

    def __init__(self, url: str, auth: Any = None, **options: Any) -> None:
        self.heard: list[Heard] = []
        self.client = OrderedClient(reconnection=False, websocket_extra_options=NOT_CHECKED_TWICE)
        self.client.on("*", lambda event, payload=None: self.heard.append((event, payload)))
        self.client.on("connect_error", self._note_refusal)
        self.refusal: Any = None
        self._options = {"auth": auth, "transports": ["websocket"], "wait_timeout": 10} | options
        self._url = url

    def _note_refusal(self, reason: Any) -> None:
        self.refusal = reason

    def connect(self) -> "Socket":
        self.client.connect(self._url, **self._options)
        self.wait_for("connected")
        return self

    def call(self, event: str, *payload: Any) -> Any:
        """Send an event and return what was acknowledged."""
        return self.client.call(event, payload, timeout=10)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [payload for name, payload in list(self.heard) if name == event]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self.named(event)) >= count, 30, f"{count} {event}, heard {len(self.heard)} events")
        return self.named(event)[count - 1]

    def close(self) -> None:
        if self.client.transport() == "polling":  # whose goodbye may wait for the next ping
            self.client.eio.disconnect(abort=True)
        else:
            self.client.disconnect()


@contextmanager
def socket_of(url: str, account: Account, *, seen: Any = None, **options: Any) -> Iterator[Socket]:
    """A connected socket of somebody who has signed in; one that comes back says the last id it saw."""
    auth = {"token": account.access_token} | ({"lastEventId": seen} if seen is not None else {})
    made = Socket(url, auth, **options)
    try:
        yield made.connect()
    finally:
        made.close()


class Stream(threading.Thread):
    """An SSE client that writes down what it hears, field by field."""

    def __init__(self, url: str, headers: dict[str, str], query: str = "") -> None:
        super().__init__(daemon=True)
        self.heard: list[dict[str, str]] = []
        self.comments = 0
        self.retry: list[int] = []
        self.ended = False
        self.response: httpx.Response
        self._client = httpx.Client(timeout=httpx.Timeout(10, read=None))
        self._opened = threading.Event()
        self._request = self._client.build_request("GET", f"{url}/api/sse/events{query}", headers=headers)
        self.start()
        assert self._opened.wait(10)

    def run(self) -> None:
        self.response = self._client.send(self._request, stream=True)
        self._opened.set()
        event: dict[str, str] = {}
        try:
            for line in self.response.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line.startswith("retry: "):
                    self.retry.append(int(line.removeprefix("retry: ")))
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    self.heard.append(event)
                    event = {}
        except httpx.TransportError:
            pass
        self.ended = True

    def named(self, event: str) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self._data(event)]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self._data(event)) >= count, 30, f"{count} {event}, heard {len(self.heard)} events")
        awaited: dict[str, Any] = json.loads(self._data(event)[count - 1])
        return awaited

    def _data(self, event: str) -> list[str]:
        return [one["data"] for one in list(self.heard) if one.get("event") == event]

    def close(self) -> None:
        self.response.close()
        self._client.close()


@contextmanager
def stream_of(url: str, account: Account, *, seen: str | None = None) -> Iterator[Stream]:
    """An open stream of somebody who has signed in; one that comes back says the last id it saw."""
    made = Stream(url, account.headers | ({"Last-Event-ID": seen} if seen is not None else {}))
    try:
        made.wait_for("connected")
        yield made
    finally:
        made.close()


def slow_socket(url: str, account: Account) -> websocket.WebSocket:
    """A Socket.IO connection, greeted, whose client takes in next to nothing until it is asked to."""
    host, port = url.removeprefix("http://").split(":")
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.connect((host, int(port)))
    address = f"ws://{host}:{port}/socket.io/?EIO=4&transport=websocket"
    made = websocket.create_connection(address, socket=end, timeout=20, **NOT_CHECKED_TWICE)
    made.send("40" + json.dumps({"token": account.access_token}))
    while not str(made.recv()).startswith('42["connected"'):
        pass
    return made


def tell_much(actor: Actor, count: int) -> None:
    """Tell an organization of so many heartbeats, numbered from 0, of about 20 KB each."""
    for number in range(count):
        metrics = {"number": number, "ballast": "x" * 20_000}
        state = {"device_id": "65f000000000000000000003", "status": "active", "presence": "online"}
        emit("device.heartbeat", actor, **state, last_active_at=None, metrics=metrics)
