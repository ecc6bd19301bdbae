"""Storms: who beats when, written down beforehand. Times are seconds from the beginning.

Each ends when nothing more is due by itself, so that what the server says can be compared.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from devicehub.simulator.expectation import Terms

MARGIN = 1.0
MINUTE, HOUR = 60.0, 3600.0


class Shot(NamedTuple):
    """A beat of a device; those that are the same `saying` of it are one beat, sent several times."""

    at: float
    number: int
    saying: int
    drift: float = 0.0  # of its clock, in seconds


@dataclass(frozen=True, slots=True)
class Setting:
    """A scenario on its terms: so many devices, at least so long, and in `silent` the share of those that are."""

    devices: int
    terms: Terms
    seconds: float = 0.0
    share: float = 0.3

    @property
    def numbers(self) -> range:
        return range(1, self.devices + 1)

    @property
    def interval(self) -> float:
        return self.terms.interval

    @property
    def silence(self) -> float:
        return self.terms.silence + MARGIN

    def slot(self, number: int) -> float:
        """When in the interval a device beats."""
        return self.interval * (number - 0.5) / self.devices

    def is_chosen(self, number: int) -> bool:
        """Whether a device is one of the share, which is spread evenly."""
        return math.floor(number * self.share) > math.floor((number - 1) * self.share)

    def rounds(self, once: float, least: int = 1) -> int:
        return max(least, math.floor(self.seconds / once))


class Plan(NamedTuple):
    shots: list[Shot]
    ends_at: float


Scenario = Callable[[Setting, random.Random], Plan]


def flap(setting: Setting, _: random.Random) -> Plan:
    """Each device beats twice, is silent until it is offline, and comes back, again and again."""
    once = setting.interval + setting.silence
    rounds = setting.rounds(once, least=2)
    ends_at = rounds * once + 2 * setting.interval

    def beats(number: int) -> Iterator[float]:
        for turn in range(rounds):
            begins = setting.slot(number) + turn * once
            yield from (begins, begins + setting.interval)
        yield from _steadily(setting.slot(number) + rounds * once, ends_at, setting.interval)

    return Plan(_numbered(setting, beats), ends_at)


def reconnect_burst(setting: Setting, chance: random.Random) -> Plan:
    """All fall silent, and all return within one second."""
    quiet = 2 * setting.interval
    once = quiet + setting.silence
    rounds = setting.rounds(once + setting.interval)
    ends_at = rounds * (once + 1) + quiet

    def beats(number: int) -> Iterator[float]:
        begins = setting.slot(number)
        for turn in range(1, rounds + 1):
            yield from _steadily(begins, (turn - 1) * (once + 1) + quiet, setting.interval)
            begins = turn * (once + 1) - 1 + chance.random()
        yield from _steadily(begins, ends_at, setting.interval)

    return Plan(_numbered(setting, beats), ends_at)


def silent(setting: Setting, _: random.Random) -> Plan:
    """A share of them falls silent for good; the others go on."""
    quiet = 2 * setting.interval
    ends_at = max(setting.seconds, quiet + setting.silence)

    def beats(number: int) -> Iterator[float]:
        return _steadily(setting.slot(number), quiet if setting.is_chosen(number) else ends_at, setting.interval)

    return Plan(_numbered(setting, beats), ends_at)


def clock_drift(setting: Setting, chance: random.Random) -> Plan:
    """Each clock is wrong: ahead, behind, jumping with every beat; and one device in five falls silent."""
    quiet = 2 * setting.interval
    ends_at = max(setting.seconds, quiet + setting.silence)
    drifts: tuple[Callable[[], float], ...] = (
        lambda: 7 * MINUTE,
        lambda: -3 * HOUR,
        lambda: chance.uniform(-HOUR, HOUR),
        lambda: chance.choice((-48 * HOUR, 0.0, 48 * HOUR)),
    )

    def beats(number: int) -> Iterator[float]:
        return _steadily(setting.slot(number), ends_at if number % 5 else quiet, setting.interval)

    shots = _numbered(setting, beats)
    return Plan([shot._replace(drift=drifts[shot.number % len(drifts)]()) for shot in shots], ends_at)


def duplicates(setting: Setting, _: random.Random) -> Plan:
    """Each beat is sent twice at once, and of every second device again after its next: late and out of order."""
    beating = 3 * setting.interval
    returns_at = beating + setting.interval + setting.silence
    ends_at = max(setting.seconds, returns_at + beating)

    def beats(number: int) -> Iterator[float]:
        yield from _steadily(setting.slot(number), beating, setting.interval)
        yield from _steadily(setting.slot(number) + returns_at, ends_at, setting.interval)

    once = _numbered(setting, beats)
    behind = [shot._replace(at=shot.at + 1.25 * setting.interval) for shot in once if shot.number % 2]
    return Plan(sorted([*once, *once, *(shot for shot in behind if shot.at < ends_at)]), ends_at)


SCENARIOS: dict[str, Scenario] = {
    "flap": flap,
    "reconnect-burst": reconnect_burst,
    "clock-drift": clock_drift,
    "duplicates": duplicates,
    "silent": silent,
}


def _steadily(begins: float, ends: float, interval: float) -> Iterator[float]:
    at = begins
    while at < ends:
        yield at
        at += interval


def _numbered(setting: Setting, beats: Callable[[int], Iterator[float]]) -> list[Shot]:
    return sorted(
        Shot(at, number, saying) for number in setting.numbers for saying, at in enumerate(beats(number), start=1)
    )
