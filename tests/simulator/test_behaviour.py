"""Who beats when, and what it says."""

import random
import time
from itertools import pairwise
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from devicehub.simulator.agenda import Agenda
from devicehub.simulator.behaviour import JITTER, Steady
from devicehub.simulator.catalogue import KINDS
from devicehub.simulator.client import LONGEST_PAUSE, pause
from devicehub.simulator.fleet import Device


def device(number: int = 1) -> Device:
    return Device(number, f"{number:024x}")


def test_the_first_beats_of_a_fleet_are_spread_over_one_interval() -> None:
    steady = Steady(10)
    firsts = [steady.first(device(number), 100, now=1000.0) for number in range(1, 101)]
    tenths = [sum(1000 + tenth <= first < 1001 + tenth for first in firsts) for tenth in range(10)]
    assert min(firsts) >= 1000 - 10 * JITTER
    assert max(firsts) <= 1010 + 10 * JITTER
    assert all(tenths), "one second of the interval is left empty"


@given(
    interval=st.floats(0.1, 3600),
    answer_times=st.lists(st.floats(0, 20), min_size=1, max_size=30),
    seed=st.integers(),
)
def test_a_device_keeps_its_slot_however_slow_the_answers(
    interval: float, answer_times: list[float], seed: int
) -> None:
    steady, one, slots = Steady(interval, random.Random(seed)), device(), 0
    due = steady.first(one, devices=1, now=1000.0)
    first_slot = one.slot
    for took in answer_times:
        answered = due + took * interval
        due, missed = steady.next(one, answered)
        slots += 1 + missed
        assert abs(one.slot - (first_slot + slots * interval)) < 1e-6 * interval * (1 + slots) + 1e-6
        assert abs(due - one.slot) <= interval * JITTER + 1e-6
        assert one.slot >= answered - 1e-6
        assert missed <= max(0, took + JITTER)


def test_a_beat_carries_readings_that_wander_from_the_last_ones() -> None:
    steady, one = Steady(5, random.Random(1)), device(len(KINDS))
    beats = [steady.beat(one) for _ in range(200)]
    temperatures = [beat["metrics"]["temperature"] for beat in beats]
    steps = [abs(after - before) for before, after in pairwise(temperatures)]
    assert len(set(temperatures)) > 20
    assert max(steps) < 1.5
    assert beats[0]["firmwareVersion"] == one.kind.firmware
    assert beats[0]["sentAt"].endswith("Z")


def test_beats_already_made_do_not_change_with_the_next_one() -> None:
    steady, one = Steady(5, random.Random(1)), device()
    first = steady.beat(one)
    told = dict(first["metrics"])
    steady.beat(one)
    assert first["metrics"] == told


def test_devices_are_handed_out_in_the_order_they_are_due() -> None:
    agenda = Agenda[Device]()
    for ago, number in ((1, 1), (3, 2), (2, 3)):
        agenda.put(time.monotonic() - ago, device(number))
    taken = [agenda.take(), agenda.take(), agenda.take()]
    assert [one.number for one in taken if one] == [2, 3, 1]


def test_a_device_put_back_is_handed_to_a_thread_that_was_already_waiting_for_a_later_one() -> None:
    agenda, taken = Agenda[Device](), list[Device | None]()
    agenda.put(1e6 + time.monotonic(), device(1))
    waiting = Thread(target=lambda: taken.append(agenda.take()))
    waiting.start()
    agenda.put(time.monotonic(), device(2))
    waiting.join(timeout=10)
    assert taken == [device(2)]


def test_closing_the_agenda_sends_every_waiting_thread_home() -> None:
    agenda, taken = Agenda[Device](), list[Device | None]()
    threads = [Thread(target=lambda: taken.append(agenda.take())) for _ in range(5)]
    for thread in threads:
        thread.start()
    agenda.close()
    for thread in threads:
        thread.join(timeout=10)
    assert taken == [None] * 5


@given(failures=st.integers(0, 100), asked=st.none() | st.floats(0, 900))
def test_a_pause_is_never_shorter_than_the_server_asked_and_stays_bounded(
    failures: int, asked: float | None
) -> None:
    wait = pause(failures, asked)
    assert wait >= (asked or 0.5)
    assert wait <= max(LONGEST_PAUSE, asked or 0)


def test_pauses_double() -> None:
    assert max(pause(0) for _ in range(100)) <= 1
    assert min(pause(3) for _ in range(100)) >= 4
