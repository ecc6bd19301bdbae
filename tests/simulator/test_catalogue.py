"""The fleet that is told."""

import random

import pytest

from devicehub.simulator import catalogue
from devicehub.simulator.catalogue import KINDS, Charge, Kind, Wander


def test_every_run_tells_the_same_fleet() -> None:
    assert [catalogue.registration(n, 5) for n in range(50)] == [catalogue.registration(n, 5) for n in range(50)]


def test_serial_numbers_and_names_are_told_apart_and_found_by_one_search() -> None:
    bodies = [catalogue.registration(number, 5) for number in range(1, 2001)]
    assert len({body["serialNumber"] for body in bodies}) == 2000
    assert len({body["name"] for body in bodies}) == 2000
    assert all(catalogue.SERIAL_PREFIX in body["serialNumber"] for body in bodies)


def test_a_fleet_is_a_mixed_one() -> None:
    bodies = [catalogue.registration(number, 5) for number in range(1, 51)]
    assert len({body["type"] for body in bodies}) > 4
    assert len({body["location"] for body in bodies}) > 20


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_readings_stay_within_what_is_possible(kind: Kind) -> None:
    chance = random.Random(7)
    for reading in kind.readings.values():
        low, high = (reading.low, reading.high) if isinstance(reading, Wander) else (0.0, 100.0)
        value = reading.first(chance)
        for _ in range(2000):
            assert low <= value <= high
            value = reading.next(value, chance)


def test_a_reading_that_strayed_is_drawn_back() -> None:
    chance, room = random.Random(7), Wander(usual=20, step=0.1, low=0, high=100)
    value = 90.0
    for _ in range(300):
        value = room.next(value, chance)
    assert abs(value - 20) < 3


def test_a_battery_runs_down_and_is_changed_when_it_is_empty() -> None:
    chance, battery = random.Random(7), Charge(lost=1)
    charges = [50.0]
    while charges[-1] != 100.0:
        charges.append(battery.next(charges[-1], chance))
        assert len(charges) < 1000
    assert charges[:-1] == sorted(charges[:-1], reverse=True)
    assert charges[-2] <= battery.empty
