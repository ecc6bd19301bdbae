"""The breaker: closed, open, and one probe at a time."""

from concurrent.futures import ThreadPoolExecutor

from devicehub.core.breaker import Breaker
from tests.conftest import wait_until


def test_everything_goes_through_until_something_fails() -> None:
    breaker = Breaker(rest=60)
    assert breaker.allows() and breaker.allows()
    assert not breaker.is_open


def test_after_a_failure_nothing_goes_through_for_the_rest() -> None:
    breaker = Breaker(rest=60)
    breaker.failed()
    assert breaker.is_open
    assert not breaker.allows()


def test_after_the_rest_one_of_many_may_try() -> None:
    breaker = Breaker(rest=0)
    breaker.failed()
    breaker.rest = 60  # what the one who tries sets anew
    with ThreadPoolExecutor(8) as callers:
        allowed = list(callers.map(lambda _: breaker.allows(), range(64)))
    assert allowed.count(True) == 1


def test_a_rest_ends_by_itself() -> None:
    breaker = Breaker(rest=0.05)
    breaker.failed()
    wait_until(breaker.allows)
    assert breaker.is_open  # until the one who tries says how it went


def test_a_success_closes_it_and_only_the_first_ends_the_outage() -> None:
    breaker = Breaker(rest=60)
    assert breaker.failed()
    assert not breaker.failed()
    assert breaker.succeeded()
    assert not breaker.succeeded()
    assert breaker.allows()
