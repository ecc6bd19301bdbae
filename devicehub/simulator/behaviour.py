"""How the devices of a fleet behave: when each beats, and what it says."""

import math
import random
from typing import Any, Protocol

from devicehub.core import clock
from devicehub.simulator.fleet import Device

JITTER = 0.1


class Behaviour(Protocol):
    """What a scenario decides; times are the run's monotonic seconds."""

    def first(self, device: Device, devices: int, now: float) -> float:
        """When this one of so many devices beats for the first time."""
        ...

    def next(self, device: Device, now: float) -> tuple[float, int]:
        """When it beats again after the beat answered `now`, and how many beats were missed meanwhile."""
        ...

    def beat(self, device: Device) -> dict[str, Any]:
        """The body of its beat."""
        ...


class Steady:
    """Each device keeps its own slot of the interval for good, and beats a little before or after it."""

    def __init__(self, interval: float, chance: random.Random | None = None) -> None:
        self._interval = interval
        self._chance = chance or random.Random()  # noqa: S311

    def first(self, device: Device, devices: int, now: float) -> float:
        device.slot = now + self._interval * (device.number - 0.5) / devices
        return self._jittered(device.slot)

    def next(self, device: Device, now: float) -> tuple[float, int]:
        # Counted from the slot and never from the answer, so a fleet neither drifts nor bunches up; and slots
        # that have gone by are let go, so a slow server is not sent all that it missed.
        slots = max(1, math.ceil((now - device.slot) / self._interval))
        device.slot += slots * self._interval
        return self._jittered(device.slot), slots - 1

    def beat(self, device: Device) -> dict[str, Any]:
        device.readings = {
            name: reading.next(device.readings[name], self._chance)
            if name in device.readings
            else reading.first(self._chance)
            for name, reading in device.kind.readings.items()
        }
        return {
            "metrics": device.readings,
            "firmwareVersion": device.kind.firmware,
            "sentAt": clock.rfc3339(clock.now()),
        }

    def _jittered(self, slot: float) -> float:
        return slot + self._interval * self._chance.uniform(-JITTER, JITTER)
