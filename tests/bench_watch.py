"""Sockets that watch an organization, in a process of their own: a part of `make bench-presence`.

`python -m tests.bench_watch URL TOKEN COUNT` says when all are let in, and, once its input ends, as JSON what each has
heard: how many beats, how often each story of a device's presence, and how many events out of order.
"""

import selectors
import socket
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.bench_fanout import PONG, read_until

HEARTBEAT, UPDATE = b'42["device-heartbeat",', b'42["device-update",'


@dataclass
class Watcher:
    """One socket, and what it heard."""

    connection: socket.socket
    rest: bytes = b""
    beats: int = 0
    stories: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    seen: tuple[int, ...] = ()
    disorder: int = 0

    def take(self) -> None:
        """Take in what came, frame by frame."""
        data = self.connection.recv(1 << 18)
        if not data:
            raise RuntimeError("a watching socket was cut off")
        data, place = self.rest + data, 0
        while (frame := _frame(data, place)) is not None:
            begins, place = frame
            self._hear(data[begins:place])
        self.rest = data[place:]

    def _hear(self, message: bytes) -> None:
        if message == b"2":
            self.connection.sendall(PONG)
        elif message.startswith(HEARTBEAT):
            self.beats += 1
        elif message.startswith(UPDATE):
            self._note(orjson.loads(message[len(UPDATE) : -1]))

    def _note(self, update: dict[str, Any]) -> None:
        event_id = tuple(map(int, update["id"].split("-")))
        self.disorder += event_id <= self.seen
        self.seen = event_id
        if presence := update["changes"].get("presence"):
            self.stories[update["deviceId"]].append(presence)

    def report(self) -> dict[str, Any]:
        """What it heard; a device's story begins when it is online: before that it said goodbye."""
        stories = Counter(" ".join(story).removeprefix("offline ") for story in self.stories.values())
        return {"beats": self.beats, "stories": stories, "disorder": self.disorder}


def main(url: str, token: str, count: int) -> None:
    """Let them in, and listen until somebody has heard enough."""
    selector = selectors.EpollSelector()
    watchers = [Watcher(_let_in(url, token)) for _ in range(count)]
    for watcher in watchers:
        selector.register(watcher.connection, selectors.EVENT_READ, watcher)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    print("let in", flush=True)
    while True:
        for key, _ in selector.select():
            if key.data is None:
                print(orjson.dumps([watcher.report() for watcher in watchers]).decode(), flush=True)
                return
            key.data.take()


def _let_in(url: str, token: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(
        f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    read_until(connection, b"0{")
    text = b"40" + orjson.dumps({"token": token})
    connection.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + b"\0\0\0\0" + text)
    read_until(connection, b'42["connected"')
    return connection


def _frame(data: bytes, place: int) -> tuple[int, int] | None:
    """Where the payload of the next frame begins and ends; None until all of it is here. Servers do not mask."""
    if len(data) < place + 4:
        return None if len(data) < place + 2 or data[place + 1] > 1 else (place + 2, place + 2 + data[place + 1])
    length, begins = data[place + 1], place + 2
    if length == 126:
        length, begins = int.from_bytes(data[place + 2 : place + 4], "big"), place + 4
    ends = begins + length
    return (begins, ends) if len(data) >= ends else None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
