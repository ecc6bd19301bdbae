"""A run of the fleet: threads that carry the beats, and what becomes of each."""

import time
from collections.abc import Sequence
from threading import Event, Thread

from devicehub.simulator.agenda import Agenda
from devicehub.simulator.behaviour import Behaviour
from devicehub.simulator.client import Answer, NoAnswer, Refused, pause
from devicehub.simulator.fleet import Device
from devicehub.simulator.report import Tally
from devicehub.simulator.session import Session

GRACE = 5.0


class Run:
    """A fleet that beats from `start` to `stop`; `ended` is set when it cannot go on, with the `failure`."""

    def __init__(self, session: Session, fleet: Sequence[Device], behaviour: Behaviour, connections: int) -> None:
        self.tally = Tally()
        self.ended = Event()
        self.failure: Exception | None = None
        self._session = session
        self._fleet = fleet
        self._behaviour = behaviour
        self._agenda = Agenda[Device]()
        threads = min(connections, len(fleet))
        self._threads = [Thread(target=self._carry, name=f"beats-{n}", daemon=True) for n in range(threads)]

    @property
    def online(self) -> int:
        return sum(device.presence == "online" for device in self._fleet)

    @property
    def devices(self) -> int:
        return len(self._fleet)

    def start(self) -> None:
        now = time.monotonic()
        for device in self._fleet:
            self._agenda.put(self._behaviour.first(device, len(self._fleet), now), device)
        self.tally.begin()
        for thread in self._threads:
            thread.start()

    def stop(self, grace: float = GRACE) -> None:
        """Send no more beats; those on their way have a moment to be answered."""
        self._agenda.close()
        deadline = time.monotonic() + grace
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def _carry(self) -> None:
        try:
            while device := self._agenda.take():
                self._agenda.put(self._beat(device), device)
        except Exception as error:
            self.failure = error
            self.ended.set()

    def _beat(self, device: Device) -> float:
        """Send one beat of this device; answers when its next is due."""
        self.tally.sending()
        sent_at = time.monotonic()
        try:
            answer = self._send(device)
        except NoAnswer as silence:
            self.tally.unanswered(f"no answer: {silence}")
            return self._after_failure(device)
        answered_at = time.monotonic()
        self.tally.answered(answered_at - sent_at, None if answer.ok else f"{answer.status} {answer.code}")
        return self._after(device, answer)

    def _send(self, device: Device) -> Answer:
        beat = self._behaviour.beat(device)
        try:
            return self._session.request_as(device.id, "POST", f"/api/devices/{device.id}/heartbeat", beat)
        except Refused as refusal:
            return refusal.answer

    def _after(self, device: Device, answer: Answer) -> float:
        if answer.try_later:
            return self._after_failure(device, answer.retry_after)
        device.failures = 0
        device.presence = answer.body.get("presence") if answer.ok else None
        due, missed = self._behaviour.next(device, time.monotonic())
        self.tally.passed_over(missed)
        return due

    def _after_failure(self, device: Device, at_least: float | None = None) -> float:
        wait = pause(device.failures, at_least)
        device.failures += 1
        device.presence = None
        return time.monotonic() + wait
