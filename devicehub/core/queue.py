"""RQ: the transport of jobs, and whether anyone is there to take them. What a job *is* stands in MongoDB."""

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import rq
import structlog
from redis import Redis as Client
from redis.exceptions import RedisError
from rq import worker_registration
from rq.serializers import JSONSerializer

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.core.redis import Redis

log = structlog.get_logger(__name__)

# The queues in the order in which workers look at them: what may take long waits for what does not.
QUICK, BULK = "devicehub", "devicehub-bulk"
# The one function RQ knows of; it is given the id of a job.
ENTRY = "devicehub.jobs.work.run"
BUDGET_S = 0.05
# A worker says every 15 s, and every 10 s while it works, that it lives; who has not for this long does not.
BEAT_IDLE_S, BEAT_BUSY_S, ALIVE_S = 15, 10, 45
_FAILED_S = 3600
_PR_SET_PDEATHSIG = 1


def queue(connection: Client, name: str = QUICK) -> rq.Queue:
    """A queue the workers listen on; its entries are JSON, no pickles."""
    return rq.Queue(name, connection=connection, serializer=JSONSerializer)


_hurried: Redis | None = None


def connect(settings: Settings) -> None:
    """Make the client that `put` uses, with its own short patience; connects on first use, not here."""
    global _hurried
    if _hurried is not None:
        _hurried.close()
    _hurried = Redis(settings.redis_address, timeout=BUDGET_S)


def put(job_id: str, *, bulk: bool = False) -> None:
    """Hand a job to the workers; raises RedisAway, after 50 ms when Redis hangs.

    Twice does no harm: who takes an entry still has to claim its job. RQ neither retries nor times it.
    """
    if _hurried is None:
        raise RuntimeError("queue.connect() has not been called")

    def enqueue(client: Client) -> None:
        with client.pipeline() as pipeline:
            queue(client, BULK if bulk else QUICK).enqueue(
                ENTRY,
                job_id,
                job_id=job_id,
                job_timeout=-1,
                result_ttl=0,
                failure_ttl=_FAILED_S,
                pipeline=pipeline,
            )
            pipeline.execute()

    _hurried.call(enqueue)


def waiting() -> set[str]:
    """The jobs that lie in the queues; raises RedisAway."""

    def ask(client: Client) -> set[str]:
        return {job_id for name in (QUICK, BULK) for job_id in queue(client, name).get_job_ids()}

    return redis.current().call(ask)


def has_workers() -> bool:
    """Whether a worker lives, one that was killed only for 45 s more; raises RedisAway when Redis cannot tell."""

    def living(client: Client) -> Any:
        keys = worker_registration.get_keys(connection=client)
        return client.exists(*keys) if keys else 0

    return bool(redis.current().call(living))


class Worker(rq.Worker):
    """RQ's worker, but Redis may go, or be emptied, and come back; and the process of a job dies with it."""

    max_connection_wait_time = 2.0

    def __init__(self, connection: Client) -> None:
        super().__init__(
            [queue(connection, name) for name in (QUICK, BULK)],
            connection=connection,
            serializer=JSONSerializer,
            worker_ttl=BEAT_IDLE_S + 15,  # RQ beats 15 s before that
            job_monitoring_interval=BEAT_BUSY_S,
        )

    @property
    def is_leaving(self) -> bool:
        """Whether it was asked to stop, rather than driven off by an error."""
        return self._shutdown_requested_date is not None

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Say that it lives, also to a Redis that was emptied and has never heard of it."""
        super().heartbeat(ALIVE_S, pipeline)
        worker_registration.register(self, pipeline)

    def maintain_heartbeats(self, job: rq.job.Job) -> None:
        """The process of a job goes on without Redis, and so do we."""
        with suppress(RedisError):
            super().maintain_heartbeats(job)

    def set_current_job_working_time(self, current_job_working_time: float, pipeline: Any = None) -> None:
        """A figure for dashboards; no reason to give a job up."""
        self.current_job_working_time = current_job_working_time
        with suppress(RedisError):
            super().set_current_job_working_time(current_job_working_time, pipeline)

    def set_shutdown_requested_date(self) -> None:
        """Another figure for dashboards; a signal handler writes it, and what that raised would end the job."""
        with suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def handle_exception(self, job: rq.job.Job, *exc_info: Any) -> None:
        """What we run never raises: RQ could not write that it is done, for Redis is away or has forgotten it."""
        log.warning("queue.entry_lost", job_id=job.id, error=exc_info[0].__name__)

    def main_work_horse(self, job: rq.job.Job, queue: rq.Queue) -> None:
        """Runs in the forked process."""
        _die_with(self.pid)
        super().main_work_horse(job, queue)


def _die_with(parent: int | None) -> None:
    """Ask the kernel to end us with our parent; where it cannot, a job's lease keeps it from harm."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)
