"""The fleet: its devices, and how each run finds them again or registers them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from devicehub.simulator import catalogue
from devicehub.simulator.client import Say
from devicehub.simulator.session import Session

BATCH = 500
PAGE = 100
SHORTEST_INTERVAL, LONGEST_INTERVAL = 5, 86_400

Known = dict[str, dict[str, Any]]


class Unregistered(Exception):
    """Some devices could not be registered; the message names one and says why."""


@dataclass(slots=True)
class Device:
    """One simulated device; `slot` is its behaviour's own note, `presence` what the server last called it."""

    number: int
    id: str
    readings: dict[str, float] = field(default_factory=dict)
    slot: float = 0.0
    failures: int = 0
    heartbeat_interval: int = 0
    presence: str | None = None

    @property
    def kind(self) -> catalogue.Kind:
        return catalogue.kind(self.number)


def assemble(session: Session, count: int, interval: float, say: Say) -> list[Device]:
    """The first `count` devices of this organization's fleet, registering those it does not have yet."""
    promised = promise(interval)
    known = _find(session)
    missing = [number for number in range(1, count + 1) if catalogue.serial_number(number) not in known]
    if missing:
        refusals = _register(session, missing, promised)
        known = _find(session)
        _check(missing, known, refusals)
    say(f"{count - len(missing):,} devices found by serial number, {len(missing):,} registered.")
    documents = [known[catalogue.serial_number(number)] for number in range(1, count + 1)]
    _allow(session, documents, promised)
    _equip(session, [document["id"] for document in documents], say)
    return [
        Device(number, document["id"], heartbeat_interval=max(document["heartbeatInterval"], promised))
        for number, document in enumerate(documents, start=1)
    ]


def promise(interval: float) -> int:
    """The `heartbeatInterval` of devices that beat this often."""
    return min(max(math.ceil(interval), SHORTEST_INTERVAL), LONGEST_INTERVAL)


def hold_to(session: Session, fleet: Sequence[Device], interval: int) -> None:
    """Expect of each device exactly this interval, whatever an earlier run had promised."""
    for device in fleet:
        if device.heartbeat_interval != interval:
            session.insist("PATCH", f"/api/devices/{device.id}", {"heartbeatInterval": interval})
            device.heartbeat_interval = interval


def _find(session: Session) -> Known:
    """The fleet as the server knows it, by serial number."""
    return {device["serialNumber"]: device for page in _pages(session) for device in page}


def _pages(session: Session) -> Iterator[list[dict[str, Any]]]:
    page, more = 0, True
    while more:
        page += 1
        query = f"search={catalogue.SERIAL_PREFIX}&sort=createdAt&limit={PAGE}&page={page}"
        listing = session.insist("GET", f"/api/devices?{query}")
        yield listing["items"]
        more = listing["pagination"]["hasNext"]


def _register(session: Session, numbers: Sequence[int], interval: int) -> dict[str, dict[str, Any]]:
    """Register these devices and keep their keys; answers the problems of those refused, by serial number."""
    refusals: dict[str, dict[str, Any]] = {}
    for start in range(0, len(numbers), BATCH):
        batch = [catalogue.registration(number, interval) for number in numbers[start : start + BATCH]]
        once = {"Idempotency-Key": str(uuid4())}
        body = {"devices": batch, "issueKeys": True}
        results = session.insist("POST", "/api/devices/batch", body, once)["items"]
        session.keyring.add({r["device"]["id"]: r["key"] for r in results if "key" in r})
        refusals |= {batch[r["index"]]["serialNumber"]: r["error"] for r in results if "device" not in r}
    return refusals


def _check(numbers: Sequence[int], known: Known, refusals: dict[str, dict[str, Any]]) -> None:
    """A device that is there is well, even when another simulator was quicker to register it."""
    for serial in map(catalogue.serial_number, numbers):
        if serial not in known:
            raise Unregistered(f"{serial} could not be registered: {refusals.get(serial, 'not listed')}")


def _allow(session: Session, documents: Sequence[dict[str, Any]], interval: int) -> None:
    """Let devices of an earlier, faster run beat this rarely without being taken for late."""
    for document in documents:
        if document["heartbeatInterval"] < interval:
            session.insist("PATCH", f"/api/devices/{document['id']}", {"heartbeatInterval": interval})


def _equip(session: Session, device_ids: Sequence[str], say: Say) -> None:
    """Make keys for devices whose keys are not known here: registered by another, or before a file was lost."""
    made: dict[str, str] = {}
    try:
        for device_id in device_ids:
            if session.keyring.get(device_id) is None:
                made[device_id] = session.new_key(device_id)
    finally:
        if made:
            session.keyring.add(made)
            say(f"Keys made for {len(made):,} of them.")
