"""What there is to simulate: kinds of devices, where they stand, and how their readings wander."""

import random
from dataclasses import dataclass
from typing import Any, Protocol

SERIAL_PREFIX = "SIM-"
SITES = ("Berlin", "Lisbon", "Nairobi", "Osaka", "Toronto")
PLACES = ("Lobby", "Workshop", "Cold store", "Server room", "Roof", "Loading bay", "Laboratory", "Canteen")


class Reading(Protocol):
    """A measured quantity: where it begins, and what it is after it was `value`."""

    def first(self, chance: random.Random) -> float: ...

    def next(self, value: float, chance: random.Random) -> float: ...


@dataclass(frozen=True, slots=True)
class Wander:
    """Strays at random, and is drawn back to what is usual (an Ornstein-Uhlenbeck walk)."""

    usual: float
    step: float
    low: float
    high: float

    def first(self, chance: random.Random) -> float:
        return self._within(chance.gauss(self.usual, self.step * 3))

    def next(self, value: float, chance: random.Random) -> float:
        return self._within(value + 0.05 * (self.usual - value) + chance.gauss(0, self.step))

    def _within(self, value: float) -> float:
        return round(min(max(value, self.low), self.high), 2)


@dataclass(frozen=True, slots=True)
class Charge:
    """Runs down a little with every beat until someone changes the battery."""

    lost: float = 0.02
    empty: float = 5.0

    def first(self, chance: random.Random) -> float:
        return round(chance.uniform(self.empty, 100), 2)

    def next(self, value: float, chance: random.Random) -> float:
        return 100.0 if value <= self.empty else round(value - chance.uniform(0, 2 * self.lost), 2)


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    type: str
    firmware: str
    readings: dict[str, Reading]


CO2 = Wander(usual=620, step=12, low=400, high=2000)
CPU = Wander(usual=22, step=2, low=0, high=100)
FLOW = Wander(usual=18, step=0.5, low=0, high=40)
HUMIDITY = Wander(usual=45, step=0.6, low=10, high=95)
POWER = Wander(usual=740, step=25, low=0, high=3600)
PRESSURE = Wander(usual=3.2, step=0.05, low=0, high=6)
ROOM = Wander(usual=21.5, step=0.15, low=5, high=40)
SIGNAL = Wander(usual=-67, step=1.5, low=-110, high=-30)
VOLTAGE = Wander(usual=230, step=0.4, low=207, high=253)

KINDS = (
    Kind("Thermostat", "thermostat", "2.5.0", {"temperature": ROOM, "battery": Charge(), "signal": SIGNAL}),
    Kind("Humidity sensor", "sensor", "1.9.0", {"humidity": HUMIDITY, "battery": Charge()}),
    Kind("Power meter", "meter", "4.0.2", {"power": POWER, "voltage": VOLTAGE, "signal": SIGNAL}),
    Kind("Air monitor", "sensor", "3.1.4", {"co2": CO2, "temperature": ROOM}),
    Kind("Water pump", "pump", "1.2.7", {"pressure": PRESSURE, "flow": FLOW}),
    Kind("Door lock", "lock", "5.3.1", {"battery": Charge(), "signal": SIGNAL}),
    Kind("Gateway", "gateway", "7.0.4", {"cpu": CPU, "temperature": ROOM, "signal": SIGNAL}),
)


def serial_number(number: int) -> str:
    """The serial number of device `number`: by it a later run finds the device again."""
    return f"{SERIAL_PREFIX}{number:06d}"


def kind(number: int) -> Kind:
    return KINDS[number % len(KINDS)]


def registration(number: int, heartbeat_interval: int) -> dict[str, Any]:
    """The body that registers device `number`; the same one in every run."""
    chance = random.Random(number)  # noqa: S311
    site, place = chance.choice(SITES), chance.choice(PLACES)
    return {
        "name": f"{kind(number).name} {number}, {place}",
        "type": kind(number).type,
        "serialNumber": serial_number(number),
        "location": f"{site}, floor {chance.randint(0, 6)}, {place}",
        "tags": ["simulated", site.lower()],
        "metadata": {"model": f"{kind(number).type[:2].upper()}-{chance.randint(100, 999)}"},
        "heartbeatInterval": heartbeat_interval,
    }
