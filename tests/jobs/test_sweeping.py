"""The sweeper: from MongoDB alone it knows what to bring to the workers, and what to give up."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask

from devicehub.core import clock as system_clock
from devicehub.core import leases, mongo, queue, redis
from devicehub.core.actor import SYSTEM
from devicehub.jobs import claims, sweeping
from devicehub.jobs import service as jobs
from devicehub.jobs.models import Job
from tests.conftest import Servers, wait_until

pytestmark = pytest.mark.usefixtures("app")

Clock = Callable[[float], None]


@pytest.fixture(autouse=True)
def alone(app: Flask) -> Iterator[None]:
    """Keep the sweeper of a server that another test has started out of the way."""
    held = mongo.database()[leases.COLLECTION]
    an_hour_on = system_clock.now() + timedelta(hours=1)
    held.replace_one({"_id": "job-sweeper"}, {"holder": "this test", "until": an_hour_on}, upsert=True)
    yield
    held.delete_one({"_id": "job-sweeper"})


def forget() -> None:
    """Let Redis know nothing any more."""
    redis.current().client.flushall()


def abandoned() -> str:
    """A job whose worker fell silent long ago."""
    job_id = jobs.enqueue("tests.note")
    assert claims.claim(job_id)
    past = system_clock.now() - timedelta(seconds=1)
    Job.objects(id=job_id).update_one(lease_until=past)
    forget()
    return job_id


def entries() -> list[str]:
    """What lies in the queue, also what lies there twice."""
    return redis.current().call(lambda client: queue.queue(client).get_job_ids())


def test_what_waits_and_lies_in_no_queue_is_brought_there_once() -> None:
    job_id = jobs.enqueue("tests.note")
    forget()
    sweeping.sweep()
    sweeping.sweep()
    assert entries() == [job_id]


def test_what_lies_in_the_queue_already_is_left_there() -> None:
    job_id = jobs.enqueue("tests.note")
    sweeping.sweep()
    assert entries() == [job_id]


def test_what_is_for_later_is_brought_when_its_time_comes(clock: Clock) -> None:
    job_id = jobs.enqueue("tests.note", run_at=system_clock.now() + timedelta(seconds=60))
    clock(59)
    sweeping.sweep()
    assert entries() == []
    clock(1)
    sweeping.sweep()
    assert entries() == [job_id]


def test_what_is_worked_on_is_left_alone() -> None:
    job_id = jobs.enqueue("tests.note")
    assert claims.claim(job_id)
    forget()
    sweeping.sweep()
    assert entries() == []


def test_what_a_silent_worker_leaves_behind_is_brought_to_another() -> None:
    job_id = abandoned()
    sweeping.sweep()
    assert entries() == [job_id]
    again = claims.claim(job_id)
    assert again is not None
    assert again.attempt == 2


def test_what_was_to_stop_when_its_worker_fell_silent_is_cancelled() -> None:
    job_id = abandoned()
    jobs.cancel(SYSTEM, job_id)
    assert claims.claim(job_id) is None
    sweeping.sweep()
    ended = Job.objects(id=job_id).get()
    assert (ended.status, ended.lease) == ("cancelled", None)
    assert ended.finished_at is not None
    assert entries() == []


def test_more_than_can_be_brought_at_once_is_brought_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MOST_AT_ONCE", 2)
    asked = [jobs.enqueue("tests.note") for _ in range(5)]
    forget()
    sweeping.sweep()
    assert len(entries()) == 2
    sweeping.sweep()
    sweeping.sweep()
    assert sorted(entries()) == sorted(asked)


def test_without_redis_it_does_what_needs_none_and_brings_the_rest_later(servers: Servers, app: Flask) -> None:
    to_stop, waiting = abandoned(), jobs.enqueue("tests.note")
    jobs.cancel(SYSTEM, to_stop)
    servers.redis.stop()
    try:
        sweeping.sweep()
    finally:
        servers.restart_redis()
    assert Job.objects(id=to_stop).get().status == "cancelled"
    wait_until(redis.current().is_alive)
    forget()
    sweeping.sweep()
    assert entries() == [waiting]
