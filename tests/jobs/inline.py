"""Doing jobs inside the test's own process, by the path a worker takes: claim, lease, keeper, lease-matched end."""

from typing import NoReturn

from devicehub.core import clock
from devicehub.features import doors
from devicehub.jobs import work
from devicehub.jobs.claims import Claim
from devicehub.jobs.errors import Stopped
from devicehub.jobs.models import Job


def run_job(job_id: str) -> Job:
    """Do one job here and now, and give it as it stands afterwards.

        job = run_job(exports.create(actor, ...).job_id)
        assert job.status == "completed", job.error

    It is claimed as by a worker, so one that is not due, or is done, stays as it is. What the job raises does not
    come out here: it is in `job.error`, redacted, and in the log (`caplog`). After a failure the job waits for its
    next attempt: move the clock (`clock(5)`) and run it again.
    """
    list(doors("jobs"))
    for _ in range(1 + Job.objects(bulk=True, status="pending").count()):  # bulk jobs are done in turns
        work.perform(job_id, give_up=_cannot)
        job: Job = Job.objects(id=job_id).get()
        if job.status != "pending" or job.run_at > clock.now():
            break
    return job


def run_due_jobs(name: str | None = None) -> list[Job]:
    """Do all jobs that are due (of one `name`, if given), also those that they ask for, oldest first."""
    done: list[Job] = []
    while job := _next(name):
        done.append(run_job(str(job.id)))
    return done


def _next(name: str | None) -> Job | None:
    due = Job.objects(status="pending", run_at__lte=clock.now()).order_by("run_at", "id")
    job: Job | None = (due.filter(name=name) if name else due).first()
    return job


def _cannot(claim: Claim, reason: Stopped) -> NoReturn:
    raise AssertionError(f"{claim.row['name']} does not end although it was to: {reason!r}")
