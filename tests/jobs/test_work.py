"""Doing jobs, inside this process: what is written when, and that a lost lease writes nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from structlog.contextvars import get_contextvars

from devicehub.core import clock as system_clock
from devicehub.core.actor import SYSTEM, Actor
from devicehub.core.events import Event
from devicehub.jobs import claims, registry, sweeping, telling
from devicehub.jobs import service as jobs
from devicehub.jobs.errors import Cancelled, LeaseLost
from devicehub.jobs.models import Job
from devicehub.jobs.registry import Context, job
from devicehub.organizations.models import Organization
from tests.conftest import wait_until
from tests.factories import Account, make_account
from tests.jobs.inline import run_due_jobs, run_job

pytestmark = pytest.mark.usefixtures("app", "deeds")

Clock = Callable[[float], None]


@pytest.fixture
def during(deeds: Any) -> Iterator[Callable[[Callable[[Context], Any]], str]]:
    """A job that does whatever the test wants done: `during(lambda context: ...)` gives its id."""

    def make(work: Callable[[Context], Any], **asked: Any) -> str:
        job("tests.anything")(work)
        return jobs.enqueue("tests.anything", **asked)

    yield make


def job_of(job_id: str) -> Job:
    found: Job = Job.objects(id=job_id).get()
    return found


def lapse(job_id: str) -> None:
    """Let the lease of a job be over, as if its worker had been silent for long."""
    past = system_clock.now() - timedelta(seconds=1)
    assert Job.objects(id=job_id, status="processing").update_one(lease_until=past) == 1


def test_what_a_job_returns_is_its_result_and_it_is_done_once(deeds: Any) -> None:
    job_id = jobs.enqueue("tests.note", {"text": "a"})
    done = run_job(job_id)
    assert (done.status, dict(done.result), done.attempts) == ("completed", {"noted": "a"}, 1)
    assert done.lease is None
    assert done.finished_at is not None
    run_job(job_id)
    assert deeds.notes() == ["a"]


def test_while_one_has_it_nobody_else_can_take_it(during: Any) -> None:
    seen: list[Any] = []
    job_id = during(lambda context: seen.append((job_of(job_id).status, claims.claim(job_id))))
    run_job(job_id)
    assert seen == [("processing", None)]


def test_one_for_later_is_not_done_before_its_time(clock: Clock) -> None:
    job_id = jobs.enqueue("tests.note", {"text": "a"}, run_at=system_clock.now() + timedelta(seconds=60))
    assert run_job(job_id).status == "pending"
    clock(60)
    assert run_job(job_id).status == "completed"


@pytest.mark.actor(role="operator")
def test_it_acts_for_who_asked_for_it_with_the_role_they_have_now(account: Account, during: Any) -> None:
    asked = account.actor
    seen: list[Actor | None] = []
    job_id = during(lambda context: seen.append(context.actor), actor=asked)
    Organization.objects(members__user_id=ObjectId(asked.user_id)).update_one(set__members__S__role="viewer")
    run_job(job_id)
    assert seen[0] is not None
    assert (seen[0].user_id, seen[0].organization_id) == (asked.user_id, asked.organization_id)
    assert seen[0].role == "viewer"


@pytest.mark.actor(role="operator")
def test_it_acts_for_nobody_when_who_asked_has_left_or_nobody_asked(account: Account, during: Any) -> None:
    asked = account.actor
    seen: list[Actor | None] = []
    one = during(lambda context: seen.append(context.actor), actor=asked)
    Organization.objects(id=ObjectId(asked.organization_id)).update_one(
        pull__members__user_id=ObjectId(asked.user_id)
    )
    run_job(one)
    run_job(during(lambda context: seen.append(context.actor)))
    assert seen == [None, None]


def test_what_it_logs_carries_the_id_of_the_request_that_asked_for_it(during: Any) -> None:
    asked = Actor(str(ObjectId()), str(ObjectId()), "viewer", request_id="r-1")
    seen: list[dict[str, Any]] = []
    job_id = during(lambda context: seen.append(dict(get_contextvars())), actor=asked)
    run_job(job_id)
    assert seen == [{"request_id": "r-1", "job_id": job_id, "job": "tests.anything", "attempt": 1}]
    assert get_contextvars() == {}


def test_its_progress_is_told_while_it_goes_on(during: Any) -> None:
    seen: list[Any] = []

    def work(context: Context) -> None:
        context.progress("reading", 1, 10)
        seen.append(dict(job_of(context.job_id).progress))
        context.progress("reading", 2, 10)  # too soon after the other to be worth a write
        seen.append(dict(job_of(context.job_id).progress))
        context.progress("reading", 10, 10)
        seen.append(dict(job_of(context.job_id).progress))

    run_job(during(work))
    assert [told["done"] for told in seen] == [1, 1, 10]
    assert seen[0] == {"step": "reading", "done": 1, "total": 10}


def test_one_that_fails_is_tried_again_after_5_30_and_120_seconds_and_then_given_up(
    clock: Clock, told: list[Event], deeds: Any
) -> None:
    job_id = jobs.enqueue("tests.stumble", {"until": 99})
    for backoff in (5, 30, 120):
        assert run_job(job_id).status == "pending"
        clock(backoff - 1)
        assert run_job(job_id).attempts == len(deeds.traces())  # not yet
        clock(1)
    given_up = run_job(job_id)
    assert (given_up.status, given_up.dead, given_up.attempts) == ("failed", True, 4)
    clock(10_000)
    sweeping.sweep()
    run_due_jobs()
    assert len(deeds.traces()) == 4
    assert [(event.name, dict(event.data)) for event in told] == [
        ("job.failed", {"job_id": job_id, "name": "tests.stumble"})
    ]


def test_one_that_comes_through_in_the_end_has_no_error_left(clock: Clock) -> None:
    job_id = jobs.enqueue("tests.stumble", {"until": 2})
    assert run_job(job_id).error
    clock(5)
    done = run_job(job_id)
    assert (done.status, dict(done.error), done.dead) == ("completed", {}, None)


def test_of_an_error_its_kind_is_kept_and_its_words_and_stack_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    failed = run_job(jobs.enqueue("tests.stumble", {"until": 2}))
    assert dict(failed.error) == {"type": "ValueError", "code": "INTERNAL_ERROR"}
    assert "hunter2" not in str(failed.to_mongo())
    assert "hunter2" in caplog.text
    assert "Traceback" in caplog.text


def test_one_that_says_that_it_cannot_be_is_given_up_at_once(told: list[Event]) -> None:
    failed = run_job(jobs.enqueue("tests.despair"))
    assert (failed.status, failed.dead, failed.attempts) == ("failed", True, 1)
    assert dict(failed.error) == {"type": "NothingThere", "code": "NOTHING_THERE"}
    assert [event.name for event in told] == ["job.failed"]


def test_a_job_that_nobody_declares_is_given_up_at_once() -> None:
    failed = run_job(jobs.enqueue("tests.nonesuch"))
    assert (failed.status, failed.dead) == ("failed", True)
    assert dict(failed.error) == {"type": "UnknownJob", "code": "JOB_UNKNOWN"}


def test_a_job_may_have_delays_of_its_own(during: Any, clock: Clock) -> None:
    job_id = during(lambda context: 1 / 0)
    job("tests.anything", delays=(60,))(lambda context: 1 / 0)
    assert run_job(job_id).status == "pending"
    clock(59)
    assert run_job(job_id).attempts == 1
    clock(1)
    assert run_job(job_id).status == "failed"


def test_one_that_outlives_all_its_workers_is_given_up_before_it_costs_another(
    deeds: Any, told: list[Event]
) -> None:
    job_id = jobs.enqueue("tests.note", {"text": "a"})
    for _ in range(4):
        assert claims.claim(job_id)  # and its worker is killed
        lapse(job_id)
    lost = run_job(job_id)
    assert (lost.status, lost.dead, dict(lost.error)) == (
        "failed",
        True,
        {"type": "WorkerLost", "code": "WORKER_LOST"},
    )
    assert deeds.notes() == []
    assert [event.name for event in told] == ["job.failed"]


def test_one_that_was_given_up_can_begin_anew(clock: Clock, told: list[Event]) -> None:
    job_id = str(run_job(jobs.enqueue("tests.despair")).id)
    clock(60)
    anew = jobs.retry(SYSTEM, job_id)
    assert (anew.status, anew.attempts, anew.dead, dict(anew.error)) == ("pending", 0, None, {})
    run_job(job_id)
    assert [event.name for event in told] == ["job.failed", "job.failed"]
    assert told[0].id != told[1].id


def test_who_lost_the_lease_can_write_nothing_any_more() -> None:
    job_id = jobs.enqueue("tests.note", {"text": "a"})
    slow = claims.claim(job_id)
    assert slow is not None
    lapse(job_id)
    quick = claims.claim(job_id)
    assert quick is not None
    for late in (
        slow.renew,
        slow.look,
        lambda: slow.tell({"step": "late"}),
        lambda: slow.complete({"by": "slow"}),
        lambda: slow.fail({"code": "LATE"}, again_in=None),
        slow.cancel,
    ):
        with pytest.raises(LeaseLost):
            late()
    quick.complete({"by": "quick"})
    done = job_of(job_id)
    assert (done.status, dict(done.result), done.attempts) == ("completed", {"by": "quick"}, 2)
    with pytest.raises(LeaseLost):
        slow.complete({"by": "slow"})
    assert dict(job_of(job_id).result) == {"by": "quick"}


def test_who_is_late_but_was_not_missed_goes_on() -> None:
    job_id = jobs.enqueue("tests.note")
    slow = claims.claim(job_id)
    assert slow is not None
    lapse(job_id)
    slow.renew()
    assert claims.claim(job_id) is None
    slow.complete({})
    assert job_of(job_id).status == "completed"


def test_a_job_that_lost_its_lease_ends_at_its_next_check_and_leaves_no_trace(during: Any) -> None:
    went_on: list[str] = []

    def work(context: Context) -> dict[str, str]:
        lapse(context.job_id)
        assert claims.claim(context.job_id)
        wait_until(lambda: context.check())  # ends with what the keeper finds
        went_on.append("too far")
        return {"by": "the first"}

    found = run_job(during(work))
    assert went_on == []
    assert (found.status, found.attempts, dict(found.result)) == ("processing", 2, {})


def test_one_that_is_worked_on_is_stopped_when_it_is_cancelled(during: Any, told: list[Event]) -> None:
    survived: list[str] = []

    def work(context: Context) -> None:
        assert jobs.cancel(SYSTEM, context.job_id).status == "processing"
        try:
            wait_until(lambda: None, 30, "to be interrupted")
        except Exception:
            survived.append("as an error of its own")

    stopped = run_job(during(work))
    assert (stopped.status, stopped.lease, survived) == ("cancelled", None, [])
    assert stopped.finished_at is not None
    assert told == []


def test_a_cancel_that_comes_while_the_last_word_is_written_still_counts() -> None:
    job_id = jobs.enqueue("tests.note")
    claim = claims.claim(job_id)
    assert claim is not None
    jobs.cancel(SYSTEM, job_id)
    with pytest.raises(Cancelled):
        claim.complete({"text": "a"})
    with pytest.raises(Cancelled):
        claim.fail({"code": "X"}, again_in=5)
    claim.cancel()
    assert job_of(job_id).status == "cancelled"


def test_one_that_takes_too_long_is_interrupted_and_tried_again(deeds: Any) -> None:
    job("tests.sleep", timeout_s=0.1)(deeds.sleep)
    found = run_job(jobs.enqueue("tests.sleep", {"seconds": 60}))
    assert (found.status, found.attempts) == ("pending", 1)
    assert dict(found.error) == {"type": "TimedOut", "code": "JOB_TIMED_OUT"}


def test_a_lease_is_renewed_for_as_long_as_the_work_goes_on(during: Any, using: Any) -> None:
    def work(context: Context) -> None:
        first = job_of(context.job_id).lease_until
        wait_until(lambda: job_of(context.job_id).lease_until > first, what="the lease to be renewed")

    with using(job_lease_seconds=3):
        assert run_job(during(work)).status == "completed"


def test_all_that_is_due_is_done_with_what_it_asks_for(during: Any, deeds: Any) -> None:
    during(lambda context: jobs.enqueue("tests.note", {"text": "second"}) and None)
    jobs.enqueue("tests.note", {"text": "first"})
    jobs.enqueue("tests.note", {"text": "later"}, run_at=system_clock.now() + timedelta(seconds=9))
    assert [done.status for done in run_due_jobs()] == ["completed"] * 3
    assert deeds.notes() == ["first", "second"]


def test_what_was_given_up_but_not_told_is_told_by_the_sweeper_once(clock: Clock, told: list[Event]) -> None:
    job_id = jobs.enqueue("tests.note")
    claim = claims.claim(job_id)
    assert claim is not None
    claim.fail({"code": "X"}, again_in=None)  # and the worker is killed
    sweeping.sweep()
    assert told == []  # it may be about to
    clock(sweeping.TELLING_S + 1)
    sweeping.sweep()
    sweeping.sweep()
    assert [event.name for event in told] == ["job.failed"]


def test_what_is_told_twice_has_happened_once(told: list[Event]) -> None:
    row = run_job(jobs.enqueue("tests.despair")).to_mongo()
    telling.ended(row)
    assert told[0].id == told[1].id


def test_a_failure_is_told_to_the_organization_it_happened_in(told: list[Event]) -> None:
    asked = make_account(role="operator").actor
    run_job(jobs.enqueue("tests.despair", actor=asked))
    assert told[-1].actor.organization_id == asked.organization_id
    run_job(jobs.enqueue("tests.despair"))
    assert told[-1].actor == SYSTEM


def test_the_registry_knows_what_was_declared() -> None:
    assert registry.registered("tests.note").timeout_s == 600
    with pytest.raises(KeyError):
        registry.registered("tests.nonesuch")


@pytest.mark.actor("operator")
def test_who_asked_for_a_watched_job_hears_how_it_goes_and_that_it_is_done(
    account: Account, told: list[Event], during: Callable[..., str]
) -> None:
    def work(context: Context) -> dict[str, str]:
        context.progress("Writing", 1, 4)
        return {"noted": "a"}

    job_id = during(work, actor=account.actor, watched=True)
    assert run_job(job_id).untold is None

    ours = [event for event in told if event.data.get("job_id") == job_id]
    assert [event.name for event in ours] == ["job.progressed"] * 3 + ["job.ended"]
    told_of = [(event.data["status"], event.data["progress"]["percentage"]) for event in ours[:3]]
    assert told_of == [("processing", None), ("processing", 25), ("completed", 100)]
    assert [ours[2].data["progress"][name] for name in ("processedRecords", "totalRecords")] == [1, 4]


@pytest.mark.actor("operator")
def test_that_a_watched_job_is_done_is_told_when_its_worker_died_before_it_said_so(
    account: Account, told: list[Event], clock: Clock, during: Callable[..., str]
) -> None:
    job_id = during(lambda context: None, actor=account.actor, watched=True)
    claim = claims.claim(job_id)
    assert claim is not None
    claim.complete({}, untold=True)

    clock(60)
    sweeping.sweep()
    sweeping.sweep()

    assert [event.name for event in told if event.name == "job.ended"] == ["job.ended"]


@pytest.mark.actor("operator")
def test_calling_off_a_watched_job_that_waits_is_heard(
    account: Account, told: list[Event], during: Callable[..., str]
) -> None:
    job_id = during(lambda context: None, actor=account.actor, watched=True)

    jobs.cancel(account.actor, job_id)

    assert [event.data["status"] for event in told if event.name == "job.progressed"] == ["cancelled"]
