"""A turnstile: places for so many, in the order of arrival."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from devicehub.core import turnstile
from devicehub.core.errors import Busy, DatabaseUnavailable
from devicehub.core.turnstile import Turnstile
from tests.conftest import wait_until


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(10) as pool:
        yield pool


def waiting(turnstile: Turnstile, number: int) -> None:
    wait_until(lambda: len(turnstile._line) == number, what=f"{number} to wait")


def test_no_more_are_in_than_there_are_places_and_they_come_in_the_order_of_arrival(
    crowd: ThreadPoolExecutor,
) -> None:
    one, order, most, inside = Turnstile(1), list[int](), 0, 0

    def come(number: int) -> None:
        nonlocal most, inside
        one.enter()
        inside += 1
        most = max(most, inside)
        order.append(number)
        inside -= 1
        one.leave()

    one.enter()
    come_in = list[Future[None]]()
    for number in range(5):
        come_in.append(crowd.submit(come, number))
        waiting(one, number + 1)
    one.leave()
    for each in come_in:
        each.result(10)

    assert (order, most) == ([0, 1, 2, 3, 4], 1)


def test_who_leaves_twice_or_never_came_makes_no_place() -> None:
    one = Turnstile(1)
    one.leave()
    one.enter()
    one.leave()
    one.leave()
    assert one._free == 1


def test_who_waits_for_something_else_holds_no_place_and_comes_back_first(crowd: ThreadPoolExecutor) -> None:
    one, hashed, order = Turnstile(1), threading.Event(), list[str]()

    def hash_something() -> None:
        one.enter()
        with one.outside():
            hashed.wait(10)
        order.append("hashed")
        one.leave()

    def pass_through(name: str) -> None:
        one.enter()
        order.append(name)
        one.leave()

    slow = crowd.submit(hash_something)
    crowd.submit(pass_through, "before").result(10)
    one.enter()
    late = crowd.submit(pass_through, "late")
    waiting(one, 1)
    hashed.set()
    waiting(one, 2)
    one.leave()
    slow.result(10)
    late.result(10)

    assert order == ["before", "hashed", "late"]


def test_who_waits_for_what_does_not_come_is_sent_away(crowd: ThreadPoolExecutor) -> None:
    one = Turnstile(1)
    one.enter()
    waiters = [crowd.submit(one.enter) for _ in range(3)]
    waiting(one, 3)

    one.refuse(DatabaseUnavailable())

    assert {type(each.exception(10)) for each in waiters} == {DatabaseUnavailable}
    one.leave()
    assert one._free == 1


def test_patience_ends(crowd: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "PATIENCE_S", 0.01)
    one = Turnstile(1)
    one.enter()
    assert isinstance(crowd.submit(one.enter).exception(10), Busy)
    assert not one._line
