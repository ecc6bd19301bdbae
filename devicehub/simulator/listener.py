"""A listener like any other: it hears an organization's live events as a stream, and comes back when cut off."""

import time
from collections import Counter, defaultdict
from threading import Event, Thread
from typing import Any

import orjson

from devicehub.simulator.client import NoAnswer, Opened, Refused, pause
from devicehub.simulator.expectation import Told
from devicehub.simulator.session import Session

PATH = "/api/sse/events"


class Listener:
    """Notes what is told of devices, and when it came here; `start` returns once the server has let it in."""

    def __init__(self, session: Session) -> None:
        self.told: dict[str, list[Told]] = defaultdict(list)
        self.beats = Counter[str]()
        self.times_cut = 0
        self.gaps = 0
        self.disorder = 0
        self._session = session
        self._seen = ""
        self._opened: Opened | None = None
        self._greeted, self._ended = Event(), Event()
        self._thread = Thread(target=self._listen, name="events", daemon=True)

    @property
    def online(self) -> int:
        """How many devices are online, by what was told of them last."""
        return sum(moves[-1].to == "online" for moves in list(self.told.values()))

    def start(self, patience: float = 20.0) -> None:
        self._thread.start()
        if not self._greeted.wait(patience):
            self.stop()
            raise NoAnswer("no live events came")

    def stop(self) -> None:
        self._ended.set()
        if self._opened:
            self._opened.close()
        self._thread.join(5)

    def _listen(self) -> None:
        failures = 0
        while not self._ended.wait(pause(failures) if failures else 0):
            try:
                self._opened = self._session.open(PATH, {"Last-Event-ID": self._seen} if self._seen else None)
            except (NoAnswer, Refused):
                failures += 1
                continue
            failures = 0
            self._hear(self._opened)
            self.times_cut += not self._ended.is_set()

    def _hear(self, opened: Opened) -> None:
        event: dict[bytes, bytes] = {}
        for line in opened.lines():
            if line:
                name, _, value = line.partition(b": ")
                event[name] = value
            elif b"data" in event:
                self._note(event.get(b"event", b"").decode(), orjson.loads(event[b"data"]))
                event = {}

    def _note(self, name: str, payload: dict[str, Any]) -> None:
        if name in ("connected", "resync-required"):
            self.gaps += name == "resync-required"
            self._seen = payload["lastEventId"]
            self._greeted.set()
        elif name in ("device-update", "device-heartbeat"):
            self._follow(payload["id"])
            self._note_device(name, payload)

    def _follow(self, event_id: str | None) -> None:
        """Ids rise; without Redis there are none."""
        if event_id is None:
            return
        self.disorder += _rank(event_id) <= _rank(self._seen)
        self._seen = event_id

    def _note_device(self, name: str, payload: dict[str, Any]) -> None:
        if name == "device-heartbeat":
            self.beats[payload["deviceId"]] += 1
        elif "presence" in payload["changes"]:
            self.told[payload["deviceId"]].append(Told(payload["changes"]["presence"], time.monotonic()))


def _rank(event_id: str) -> tuple[int, ...]:
    return tuple(map(int, event_id.split("-")))
