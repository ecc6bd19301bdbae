"""Asking for jobs, calling them off, asking again: whose they are comes first."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask

from devicehub.core import clock, queue
from devicehub.core.actor import SYSTEM, Actor
from devicehub.jobs import service as jobs
from devicehub.jobs.errors import JobIsNotOver, JobIsOver, JobNotFound
from devicehub.jobs.models import Job
from tests.conftest import Servers
from tests.factories import make_account
from tests.jobs.inline import run_job

pytestmark = pytest.mark.usefixtures("app", "deeds")


def test_a_job_is_kept_and_handed_to_the_workers() -> None:
    job_id = jobs.enqueue("tests.note", {"text": "a"})
    job = Job.objects(id=job_id).get()
    assert (job.name, job.status, dict(job.arguments), job.attempts) == ("tests.note", "pending", {"text": "a"}, 0)
    assert queue.waiting() == {job_id}


def test_the_same_key_is_the_same_job() -> None:
    first = jobs.enqueue("tests.note", {"text": "a"}, key="k")
    assert jobs.enqueue("tests.note", {"text": "b"}, key="k") == first
    assert jobs.enqueue("tests.note", {"text": "b"}, key="other") != first
    run_job(first)
    assert jobs.enqueue("tests.note", {"text": "a"}, key="k") == first
    assert Job.objects.count() == 2


def test_one_for_later_lies_in_no_queue() -> None:
    jobs.enqueue("tests.note", run_at=clock.now() + timedelta(seconds=1))
    assert queue.waiting() == set()


def test_it_is_kept_also_while_redis_is_away(servers: Servers) -> None:
    servers.redis.stop()
    try:
        job_id = jobs.enqueue("tests.note", {"text": "a"})
    finally:
        servers.restart_redis()
    assert Job.objects(id=job_id).get().status == "pending"


@pytest.fixture
def mine(actor: Actor) -> str:
    return jobs.enqueue("tests.note", {"text": "a"}, actor=actor)


VERBS = [jobs.get, jobs.cancel, jobs.retry]


@pytest.mark.actor(role="operator")
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_anothers_job_is_not_found(verb: Any, actor: Actor, mine: str) -> None:
    colleague = make_account(role="operator", organization_id=actor.organization_id)
    for other in (make_account(), colleague):
        with pytest.raises(JobNotFound):
            verb(other.actor, mine)
        assert jobs.find(other.actor) == []
    for nonsense in ("nonsense", str(ObjectId())):
        with pytest.raises(JobNotFound):
            verb(actor, nonsense)
    assert Job.objects(id=mine).get().status == "pending"


@pytest.mark.actor(role="operator")
def test_an_admin_sees_those_of_the_organization_and_the_system_sees_all(actor: Actor, mine: str) -> None:
    theirs = jobs.enqueue("tests.note", actor=make_account().actor)
    nobodys = jobs.enqueue("tests.note")
    admin = make_account(role="admin", organization_id=actor.organization_id).actor
    assert [str(job.id) for job in jobs.find(admin)] == [mine]
    assert [str(job.id) for job in jobs.find(SYSTEM)] == [nobodys, theirs, mine]
    assert [str(job.id) for job in jobs.find(SYSTEM, limit=1)] == [nobodys]


@pytest.mark.actor()
def test_jobs_are_found_by_their_status(actor: Actor, mine: str) -> None:
    other = jobs.enqueue("tests.note", actor=actor)
    jobs.cancel(actor, other)
    assert [str(job.id) for job in jobs.find(actor, status="pending")] == [mine]
    assert [str(job.id) for job in jobs.find(actor, status="cancelled")] == [other]


@pytest.mark.actor()
def test_one_that_waits_is_cancelled_at_once(actor: Actor, mine: str, deeds: Any) -> None:
    assert jobs.cancel(actor, mine).status == "cancelled"
    assert run_job(mine).status == "cancelled"
    assert deeds.notes() == []
    with pytest.raises(JobIsOver):
        jobs.cancel(actor, mine)


@pytest.mark.actor()
def test_one_that_is_done_can_neither_be_cancelled_nor_begun_anew(actor: Actor, mine: str) -> None:
    run_job(mine)
    with pytest.raises(JobIsOver):
        jobs.cancel(actor, mine)
    with pytest.raises(JobIsNotOver):
        jobs.retry(actor, mine)
    assert Job.objects(id=mine).get().status == "completed"


@pytest.mark.actor()
def test_one_that_was_cancelled_can_begin_anew(actor: Actor, mine: str, deeds: Any) -> None:
    jobs.cancel(actor, mine)
    assert jobs.retry(actor, mine).status == "pending"
    assert run_job(mine).status == "completed"
    assert deeds.notes() == ["a"]


def test_who_asks_in_the_name_of_the_system_leaves_no_name(app: Flask) -> None:
    job = Job.objects(id=jobs.enqueue("tests.note", actor=SYSTEM)).get()
    assert (job.user_id, job.organization_id) == (None, None)
