"""Bulk jobs: others go first, and people take turns."""

from collections.abc import Iterator

import pytest
from bson import ObjectId
from flask import Flask

from devicehub.core import mongo, queue, redis
from devicehub.core.actor import Actor
from devicehub.jobs import service as jobs
from devicehub.jobs import turns
from devicehub.jobs.models import Job
from tests.conftest import holding


@pytest.fixture(autouse=True)
def _alone(app: Flask) -> Iterator[None]:
    """A server's sweeper may bring what is just being put there: twice is no harm, but counted here."""
    with holding("job-sweeper", "this test"):
        yield


def person() -> Actor:
    return Actor(str(ObjectId()), str(ObjectId()), "operator")


def asked_by(actor: Actor, number: int) -> list[str]:
    return [jobs.enqueue("tests.note", actor=actor, bulk=True) for _ in range(number)]


def begun_by(ticket: str) -> str:
    claim = turns.claim(ticket)
    assert claim is not None
    claim.complete({})
    return str(claim.id)


def test_the_second_persons_job_waits_for_one_of_the_firsts_at_most(app: Flask) -> None:
    many = asked_by(person(), 20)
    [one] = asked_by(person(), 1)

    begun = [begun_by(ticket) for ticket in [*many, one]]

    assert begun.index(one) <= 1
    assert [job_id for job_id in begun if job_id != one] == many


def test_every_ticket_begins_a_job_until_there_is_none(app: Flask) -> None:
    tickets = [*asked_by(person(), 3), *asked_by(person(), 2), *asked_by(person(), 1)]

    assert sorted(begun_by(ticket) for ticket in reversed(tickets)) == sorted(tickets)
    assert turns.claim(tickets[0]) is None


def test_a_bulk_job_whose_worker_fell_silent_is_taken_over_by_its_own_ticket(app: Flask) -> None:
    silent, waiting = asked_by(person(), 1)[0], asked_by(person(), 1)[0]
    assert turns.claim(silent) is not None
    Job.objects(id=silent).update(set__lease_until=mongo.database().command("hello")["localTime"])

    taken = turns.claim(silent)

    assert taken is not None
    assert (str(taken.id), taken.attempt) == (silent, 2)
    assert Job.objects(id=waiting).get().status == "pending"


def test_bulk_jobs_lie_in_a_queue_of_their_own_that_comes_last(app: Flask) -> None:
    [bulk] = asked_by(person(), 1)
    quick = jobs.enqueue("tests.note")
    worker = queue.Worker(redis.current().client)

    assert [one.name for one in worker.queues] == [queue.QUICK, queue.BULK]
    assert [one.get_job_ids() for one in worker.queues] == [[quick], [bulk]]
    assert queue.waiting() == {quick, bulk}
