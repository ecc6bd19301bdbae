"""Doing together what comes at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from devicehub.core.errors import Unavailable
from devicehub.core.groups import Group
from tests.conftest import wait_until


class Rounds:
    """What was done together, round by round; each round waits until it is let go."""

    def __init__(self, largest: int = 100) -> None:
        self.done: list[list[int]] = []
        self.go = threading.Semaphore(0)
        self.group: Group[int, int] = Group(self._do, largest=largest)
        self.pool = ThreadPoolExecutor(8)

    def _do(self, items: list[int]) -> list[int]:
        self.done.append(items)
        assert self.go.acquire(timeout=10)
        if 13 in items:
            raise ArithmeticError("thirteen")
        if 0 in items and len(items) > 1:
            raise GeneratorExit
        return [item * 10 for item in items]

    def submit(self, *items: int) -> "Future[object]":
        """Submit in a thread, and return once it is the group's."""
        before = self.known()
        future: Future[object] = self.pool.submit(self.group.submit, items)
        wait_until(lambda: self.known() > before)
        return future

    def known(self) -> int:
        return sum(len(items) for items in self.done) + sum(len(call.items) for call in self.group._waiting)


@pytest.fixture
def rounds() -> Rounds:
    return Rounds()


def test_who_is_alone_waits_for_nobody(rounds: Rounds) -> None:
    rounds.go.release()
    assert rounds.group.submit([1, 2]) == [10, 20]
    assert rounds.done == [[1, 2]]


def test_who_comes_during_a_round_makes_up_the_next_and_each_gets_its_own(rounds: Rounds) -> None:
    first, second, third = rounds.submit(1), rounds.submit(2, 3), rounds.submit(4)
    rounds.go.release(2)
    assert [future.result(10) for future in (first, second, third)] == [[10], [20, 30], [40]]
    assert rounds.done == [[1], [2, 3, 4]]


def test_a_failure_is_that_of_its_round_alone(rounds: Rounds) -> None:
    futures = [rounds.submit(1), rounds.submit(13), rounds.submit(14)]
    rounds.go.release()
    assert futures[0].result(10) == [10]
    wait_until(lambda: len(rounds.done) == 2)
    later = rounds.submit(5)
    rounds.go.release(2)
    for failed in futures[1:]:
        with pytest.raises(ArithmeticError):
            failed.result(10)
    assert later.result(10) == [50]


def test_a_leader_that_is_told_to_end_does_not_end_the_others(rounds: Rounds) -> None:
    futures = [rounds.submit(1), rounds.submit(0), rounds.submit(2)]
    rounds.go.release(2)
    with pytest.raises(GeneratorExit):
        futures[1].result(10)
    with pytest.raises(Unavailable):
        futures[2].result(10)
    rounds.go.release()
    assert rounds.group.submit([3]) == [30]


def test_a_round_is_bounded_but_for_what_comes_as_one(rounds: Rounds) -> None:
    rounds = Rounds(largest=3)
    futures = [rounds.submit(*items) for items in ((10,), (1, 2), (3,), (4,), (5, 6, 7, 8), (9,))]
    rounds.go.release(10)
    for future in futures:
        future.result(10)
    assert rounds.done == [[10], [1, 2, 3], [4], [5, 6, 7, 8], [9]]


def test_many_callers_in_many_threads_are_all_answered() -> None:
    group: Group[int, int] = Group(lambda items: [item * 10 for item in items], largest=7)
    caller: Callable[[int], object] = lambda number: group.submit([number, number + 1])  # noqa: E731
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(caller, range(2000))) == [[n * 10, (n + 1) * 10] for n in range(2000)]
