"""Duties: done by one process at a time, taken over when it goes, and never given up because once it failed."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask

from devicehub.core import duties, leases, mongo
from devicehub.core.duties import Duty
from tests.conftest import Servers, wait_until

NAME = "test-duty"


@pytest.fixture
def stack(app: Flask) -> Iterator[ExitStack]:
    mongo.database()[leases.COLLECTION].delete_one({"_id": NAME})
    with ExitStack() as entered:
        yield entered


def started(stack: ExitStack, duty: Duty) -> Duty:
    duty.start()
    stack.callback(duty.stop)
    return duty


def test_only_the_holder_of_the_lease_does_it(stack: ExitStack) -> None:
    done: list[str] = []
    one = Duty(NAME, lambda: done.append("one"), every=60, lease=60)
    other = Duty(NAME, lambda: done.append("other"), every=60, lease=60)
    assert one.step()
    assert not other.step()
    assert one.step()
    assert done == ["one", "one"]


def test_another_takes_over_at_once_from_one_that_stops_in_order(stack: ExitStack) -> None:
    done: list[str] = []
    one = started(stack, Duty(NAME, lambda: done.append("one"), every=0.01, lease=60))
    wait_until(lambda: done)
    one.stop()
    assert Duty(NAME, lambda: done.append("other"), every=60, lease=60).step()
    assert done[-1] == "other"


def test_a_process_that_ends_in_order_gives_all_its_duties_back(stack: ExitStack) -> None:
    names = [NAME, f"{NAME}-2"]
    done: list[str] = []
    for name in names:
        stack.callback(mongo.database()[leases.COLLECTION].delete_one, {"_id": name})
        Duty(name, lambda name=name: done.append(name), every=0.01, lease=60).start()  # type: ignore[misc]
    wait_until(lambda: set(done) == set(names))
    duties.stop_all()
    assert mongo.database()[leases.COLLECTION].count_documents({"_id": {"$in": names}}) == 0


def test_another_takes_over_from_one_that_died_when_its_lease_lapses(stack: ExitStack) -> None:
    done: list[str] = []
    assert Duty(NAME, lambda: None, every=60, lease=0.2).step()
    other = Duty(NAME, lambda: done.append("other"), every=60, lease=60)
    assert not other.step()
    wait_until(other.step)
    assert done == ["other"]


def test_one_that_failed_is_done_again_at_its_next_time(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def stumble() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("the first time")

    started(stack, Duty(NAME, stumble, every=0.01, lease=60))
    wait_until(lambda: len(tries) > 3)
    assert caplog.text.count("duty.failed") == 1


def test_it_goes_on_by_itself_when_the_database_is_back(
    stack: ExitStack, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    started(stack, Duty(NAME, lambda: done.append(1), every=0.01, lease=60))
    wait_until(lambda: done)
    servers.mongod.stop()
    try:
        wait_until(lambda: "duty.database_away" in caplog.text)
    finally:
        servers.restart_mongod()
    so_far = len(done)
    wait_until(lambda: len(done) > so_far)
    assert caplog.text.count("duty.database_away") == 1
