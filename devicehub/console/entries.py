"""What lies in Redis is JSON. Left to itself rq-dashboard would unpickle it, and do whatever a pickle says."""

from functools import partial
from typing import Any

import rq
from redis import Redis
from rq.job import Job, requeue_job
from rq.serializers import JSONSerializer
from rq_dashboard import web


class Entry(Job):
    """A job as RQ knows it, read as our queue writes it."""

    def __init__(self, id: str | None = None, connection: Redis | None = None, serializer: Any = None) -> None:
        super().__init__(id, connection, serializer or JSONSerializer)


class Worker(rq.Worker):
    """A worker, whose job is read the same way."""

    @classmethod
    def all(cls, *args: Any, **kwargs: Any) -> Any:
        return super().all(*args, **kwargs | {"job_class": Entry, "serializer": JSONSerializer})


def read_as_json() -> None:
    """Give rq-dashboard these instead of RQ's own."""
    web.config.serializer = JSONSerializer
    web.Job, web.Worker = Entry, Worker
    web.requeue_job = partial(requeue_job, serializer=JSONSerializer)
