"""A signal ends a run where it waits, and nothing that is under way."""

import os
import signal
from collections.abc import Iterator

import pytest

from devicehub.embedded import interrupts
from devicehub.embedded.children import wait_until
from devicehub.embedded.supervisor import Supervisor

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in HEARD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", HEARD)
def test_it_is_heard_once_by_who_waits_next(number: signal.Signals) -> None:
    interrupts.listen_for(*HEARD)

    os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        wait_until(lambda: False, 10)
    assert wait_until(lambda: True, 10)


def test_what_comes_twice_does_not_hurry_who_is_ending_already() -> None:
    interrupts.listen_for(*HEARD)
    os.kill(os.getpid(), signal.SIGTERM)

    interrupts.ignore(signal.SIGTERM, signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert wait_until(lambda: True, 10)

    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        wait_until(lambda: False, 10)


def test_it_is_heard_by_who_watches() -> None:
    interrupts.listen_for(*HEARD)
    supervisor = Supervisor(print)
    os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        supervisor.watch()

    supervisor.stop()


def test_a_hang_up_that_nohup_has_us_ignore_is_none() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.listen_for(*HEARD)

    os.kill(os.getpid(), signal.SIGHUP)

    assert wait_until(lambda: True, 10)
