"""What can be wrong with a job, and what ends the work on one from outside."""

from devicehub.core.errors import Conflict, DeviceHubError, NotFound


class JobNotFound(NotFound):
    code = "JOB_NOT_FOUND"
    title = "Job not found"
    detail = "No job {job_id} of yours."


class JobIsOver(Conflict):
    code = "JOB_IS_OVER"
    title = "Job is over"
    detail = "The job {job_id} has ended already."


class JobIsNotOver(Conflict):
    code = "JOB_IS_NOT_OVER"
    title = "Job cannot begin anew"
    detail = "Only a job that failed or was cancelled can; {job_id} is {status}."


class UnknownJob(NotFound):
    code = "JOB_UNKNOWN"
    title = "Unknown job"
    detail = "Nobody declares a job of the name {name}."


class WorkerLost(DeviceHubError):
    code = "WORKER_LOST"
    title = "Worker lost"
    detail = "The job has outlived as many workers as it may."


class Stopped(BaseException):
    """The work is to end now. No Exception: a job that carries on after its own errors must not survive this."""


class Cancelled(Stopped):
    """Somebody asked for it."""


class LeaseLost(Stopped):
    """The job is somebody else's by now; nothing that is written for it counts any more."""


class TimedOut(Stopped):
    """It took longer than the job was declared to take."""

    code = "JOB_TIMED_OUT"
