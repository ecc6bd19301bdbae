"""Real workers that are killed, stopped and cut off: each job is done, and its result is published once."""

import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient

from devicehub.core import redis
from devicehub.core.actor import SYSTEM
from devicehub.jobs import service as jobs
from devicehub.jobs.models import Job
from tests.conftest import Servers, wait_until
from tests.factories import make_account
from tests.jobs.processes import start, sweeper

__all__ = ["start", "sweeper"]  # fixtures
# Its workers are processes of their own: one parallel worker at a time is enough of them.
pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.usefixtures("deeds", "sweeper")]


def ends(job_id: str, status: str = "completed", seconds: float = 60) -> Job:
    def ended() -> Job | None:
        found: Job | None = Job.objects(id=job_id, status=status).first()
        return found

    found: Job = wait_until(ended, seconds, f"the job to be {status}")
    return found


def test_a_worker_does_what_it_is_given(start: Any, deeds: Any) -> None:
    start()
    done = ends(jobs.enqueue("tests.note", {"text": "a"}))
    assert dict(done.result) == {"noted": "a"}
    assert deeds.notes() == ["a"]
    wait_until(lambda: redis.current().client.keys("rq:job:*") == [], what="RQ to keep nothing of it")


def begun(deeds: Any, job_id: str, attempt: int = 1) -> int:
    """The process that has begun an attempt at a job."""
    trace: dict[str, Any] = wait_until(
        lambda: next(iter(deeds.traces(job=job_id, attempt=attempt)), None), 30, "the job to be begun"
    )
    return int(trace["pid"])


def test_a_job_whose_worker_and_process_are_killed_is_finished_by_another(start: Any, deeds: Any) -> None:
    doomed = start()
    job_id = jobs.enqueue("tests.dawdle", {"steps": 40})
    first = begun(deeds, job_id)
    child = doomed.child()
    doomed.end()
    if child.is_running():  # it had a moment to die with its parent
        child.kill()
    start()
    done = ends(job_id)
    assert done.attempts == 2
    assert dict(done.result) == {"by": begun(deeds, job_id, attempt=2)}
    assert first == child.pid != done.result["by"]


def test_one_whose_entry_is_deleted_under_its_worker_is_finished_by_it(
    start: Any, deeds: Any, client_of: Callable[..., FlaskClient]
) -> None:
    start()
    job_id = jobs.enqueue("tests.dawdle", {"steps": 40})
    first = begun(deeds, job_id)
    admin = client_of(make_account(platform_admin=True))
    assert admin.get("/rq/0/data/workers.json").json["workers"][0]["current_job"]["job_id"] == job_id
    for path in (f"/rq/job/{job_id}/delete", "/rq/queue/devicehub/started/empty"):
        assert admin.post(path, headers={"Origin": "http://localhost"}).status_code == 200
    done = ends(job_id)
    assert (done.attempts, dict(done.result)) == (1, {"by": first})
    ends(jobs.enqueue("tests.note", {"text": "and goes on"}))


def test_the_process_of_a_job_dies_with_its_worker(start: Any, deeds: Any) -> None:
    doomed = start()
    begun(deeds, jobs.enqueue("tests.sleep", {"seconds": 60}))
    child = doomed.child()
    doomed.end()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_one_that_wakes_up_when_its_job_is_done_elsewhere_writes_nothing(
    start: Any, deeds: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    sleeper = start()
    job_id = jobs.enqueue("tests.sleep", {"seconds": 2})
    first, child = begun(deeds, job_id), sleeper.child()
    child.send_signal(signal.SIGSTOP)
    start()
    done = ends(job_id)
    assert done.attempts == 2
    child.send_signal(signal.SIGCONT)
    wait_until(lambda: not child.is_running(), what="the late one to come to its end")
    said = capfd.readouterr().out
    assert "job.lease_lost" in said
    assert "Traceback" not in said
    assert Job.objects(id=job_id).get().to_mongo() == done.to_mongo()
    assert done.result["by"] != first


def test_jobs_that_wait_outlive_the_emptying_of_redis(start: Any, deeds: Any) -> None:
    asked = [jobs.enqueue("tests.note", {"text": str(number)}) for number in range(8)]
    redis.current().client.flushall()
    start()
    for job_id in asked:
        ends(job_id)
    assert sorted(deeds.notes(), key=int) == [str(number) for number in range(8)]


def test_a_worker_and_the_jobs_asked_for_meanwhile_outlive_an_outage_of_redis(
    start: Any, deeds: Any, servers: Servers, client: FlaskClient
) -> None:
    start()
    ends(jobs.enqueue("tests.note", {"text": "before"}))
    servers.redis.stop()
    try:
        job_id = jobs.enqueue("tests.note", {"text": "meanwhile"})
        assert Job.objects(id=job_id).get().status == "pending"
    finally:
        servers.restart_redis()
    ends(job_id)
    ends(jobs.enqueue("tests.note", {"text": "after"}))
    assert deeds.notes() == ["before", "meanwhile", "after"]
    wait_until(lambda: client.get("/health").json["dependencies"]["queue"] == "active")


def test_a_job_goes_on_while_redis_is_away(start: Any, deeds: Any, servers: Servers) -> None:
    start()
    job_id = jobs.enqueue("tests.dawdle", {"steps": 20})
    begun(deeds, job_id)
    servers.redis.stop()
    try:
        assert ends(job_id).attempts == 1
    finally:
        servers.restart_redis()
    ends(jobs.enqueue("tests.note", {"text": "after"}))


def test_a_job_outlives_a_restart_of_mongodb(start: Any, deeds: Any, servers: Servers) -> None:
    start(JOB_LEASE_SECONDS="30")
    job_id = jobs.enqueue("tests.dawdle", {"steps": 60})
    begun(deeds, job_id)
    servers.mongod.stop()
    servers.restart_mongod()
    assert ends(job_id).attempts == 1


def test_a_job_that_is_worked_on_stops_when_it_is_cancelled(start: Any, deeds: Any) -> None:
    worker = start()
    job_id = jobs.enqueue("tests.sleep", {"seconds": 60})
    begun(deeds, job_id)
    child = worker.child()
    jobs.cancel(SYSTEM, job_id)
    ends(job_id, "cancelled", 4)  # by its own interruption, not at the end of the keeper's patience
    wait_until(lambda: not child.is_running())
    ends(jobs.enqueue("tests.note", {"text": "next"}))


def test_one_that_hears_nothing_is_ended_with_its_process_when_its_time_is_up(start: Any, deeds: Any) -> None:
    worker = start()
    job_id = jobs.enqueue("tests.be_deaf")
    begun(deeds, job_id)
    child = worker.child()
    failed = ends(job_id, "pending")
    assert dict(failed.error) == {"type": "TimedOut", "code": "JOB_TIMED_OUT"}
    wait_until(lambda: not child.is_running())
    ends(jobs.enqueue("tests.note", {"text": "next"}))


def test_a_worker_asked_to_stop_finishes_its_job_first(start: Any, deeds: Any) -> None:
    worker = start()
    job_id = jobs.enqueue("tests.dawdle", {"steps": 10})
    begun(deeds, job_id)
    worker.process.terminate()
    assert worker.process.wait(30) == 0
    assert Job.objects(id=job_id).get().status == "completed"


def test_one_asked_to_stop_while_redis_is_away_stops(start: Any, deeds: Any, servers: Servers) -> None:
    worker = start()
    ends(jobs.enqueue("tests.note", {"text": "before"}))
    client = redis.current().client
    wait_until(lambda: {client.hget(key, "state") for key in client.smembers("rq:workers")} == {b"idle"})
    servers.redis.stop()
    try:
        worker.process.terminate()
        assert worker.process.wait(15) == 0
    finally:
        servers.restart_redis()


def test_one_asked_to_stop_while_redis_is_away_finishes_its_job_first(
    start: Any, deeds: Any, servers: Servers
) -> None:
    worker = start()
    job_id = jobs.enqueue("tests.dawdle", {"steps": 40})
    begun(deeds, job_id)
    servers.redis.stop()
    try:
        worker.process.terminate()
        assert ends(job_id).attempts == 1
        assert worker.process.wait(15) == 0
    finally:
        servers.restart_redis()
