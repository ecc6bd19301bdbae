"""A storm carried out: its beats sent as they were written down, and heard of by a listener."""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any, NamedTuple

from devicehub.core import clock
from devicehub.simulator.agenda import Agenda
from devicehub.simulator.behaviour import Steady
from devicehub.simulator.client import Answer, NoAnswer, Refused
from devicehub.simulator.expectation import Span
from devicehub.simulator.fleet import BATCH, Device
from devicehub.simulator.listener import Listener
from devicehub.simulator.report import Tally
from devicehub.simulator.scenarios import Plan, Shot
from devicehub.simulator.session import Session

LEAD_S = 0.5  # in which the threads begin
GRACE_S = 15.0
COPIES = 3  # of a device's last sayings that are remembered


class Offset(NamedTuple):
    """How far a device's clock was ahead of the server's, give or take the time of the request."""

    seconds: float
    give: float


class Storm:
    """A fleet under a plan. Everything that is known from outside stands here when it has `stop`ped."""

    def __init__(self, session: Session, fleet: Sequence[Device], plan: Plan, connections: int) -> None:
        self.session = session
        self.fleet = {device.number: device for device in fleet}
        self.listener = Listener(session)
        self.tally = Tally()
        self.ended = Event()
        self.failure: Exception | None = None
        self.began_at = ""
        self.beats: dict[int, list[Span]] = defaultdict(list)
        self.offsets: dict[int, Offset] = {}
        self.unsure: set[int] = set()
        self._plan = plan
        self._chance = Steady(plan.ends_at, random.Random())  # noqa: S311
        self._said: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
        self._saying = Lock()
        self._agenda = Agenda[Shot]()
        threads = min(connections, 2 * len(fleet))
        self._threads = [Thread(target=self._carry, name=f"beats-{n}", daemon=True) for n in range(threads)]

    @property
    def online(self) -> int:
        return self.listener.online

    @property
    def devices(self) -> int:
        return len(self.fleet)

    def start(self) -> None:
        """Let all begin alike, offline by their own goodbye, and then as it was planned."""
        self._say_goodbye()
        self.listener.start()
        begins = time.monotonic() + LEAD_S
        for shot in self._plan.shots:
            self._agenda.put(begins + shot.at, shot)
        self.tally.begin()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send no more; what is under way is answered first."""
        self._agenda.close()
        deadline = time.monotonic() + GRACE_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _say_goodbye(self) -> None:
        ids = [device.id for device in self.fleet.values()]
        for start in range(0, len(ids), BATCH):
            goodbyes = [{"deviceId": one, "goodbye": True} for one in ids[start : start + BATCH]]
            answer = self.session.insist("POST", "/api/devices/heartbeats", {"heartbeats": goodbyes})
            last = answer["items"][-1]
            if answer["rejected"]:
                raise Refused(Answer(400, next(item["error"] for item in answer["items"] if "error" in item)))
            self.began_at = max(self.began_at, last["heartbeat"]["serverTime"])

    def _carry(self) -> None:
        try:
            while shot := self._agenda.take():
                self._beat(shot)
        except Exception as error:
            self.failure = error
            self.ended.set()

    def _beat(self, shot: Shot) -> None:
        device, body = self.fleet[shot.number], self._body(shot)
        self.tally.sending()
        sent = time.monotonic()
        try:
            answer = self._send(device, body)
        except NoAnswer as silence:
            self.unsure.add(shot.number)
            self.tally.unanswered(f"no answer: {silence}")
            return
        answered = time.monotonic()
        self.tally.answered(answered - sent, None if answer.ok else f"{answer.status} {answer.code}")
        if answer.ok:
            self.beats[shot.number].append(Span(sent, answered))
            self.offsets[shot.number] = _offset(body["sentAt"], answer.body["serverTime"], answered - sent)

    def _send(self, device: Device, body: dict[str, Any]) -> Answer:
        try:
            return self.session.request_as(device.id, "POST", f"/api/devices/{device.id}/heartbeat", body)
        except Refused as refusal:
            return refusal.answer

    def _body(self, shot: Shot) -> dict[str, Any]:
        """What the device says; word for word what it said before if this is the same saying."""
        with self._saying:
            said = self._said[shot.number]
            if shot.saying not in said:
                sent_at = clock.now() + timedelta(seconds=shot.drift)
                said[shot.saying] = self._chance.beat(self.fleet[shot.number]) | {"sentAt": clock.rfc3339(sent_at)}
                said.pop(shot.saying - COPIES, None)
            return said[shot.saying]


def _offset(sent_at: str, server_time: str, took: float) -> Offset:
    ahead = datetime.fromisoformat(sent_at) - datetime.fromisoformat(server_time)
    return Offset(ahead.total_seconds(), took + 0.05)
