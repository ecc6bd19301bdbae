"""Letting go of files: those whose time has come, and what is left of those that never came to be."""

from collections.abc import Iterable, Iterator

from bson import ObjectId

from devicehub.core import clock
from devicehub.exports.building import file_id
from devicehub.exports.files import FILES
from devicehub.exports.models import NAME
from devicehub.jobs.models import Job


def expire() -> Iterator[str]:
    """Let files expire, one after the other; gives the id of each export that has."""
    lapsed = Job.objects(name=NAME, status="completed", result__expires_at__lte=clock.now())
    while (job := lapsed.modify(status="expired")) is not None:
        FILES.delete(job.result["file_id"])  # whoever dies before leaves it to `sweep`
        yield str(job.id)


def sweep() -> Iterator[ObjectId]:
    """Remove what no export speaks of and none is writing; gives the id of each such file.

    What is there is asked for first: what is begun after that is none of it, and what was being written then still
    is, or is published by now.
    """
    there = FILES.ids()
    written = {
        file_id(str(job.id), job.attempts) for job in Job.objects(name=NAME, status="processing").only("attempts")
    }
    for one in there - written:
        if Job.objects(name=NAME, status="completed", result__file_id=one).only("id").first() is None:
            FILES.delete(one)
            yield one


def forget(jobs: Iterable[Job]) -> Iterator[str]:
    """Delete exports with their files, one after the other; gives the id of each that was there."""
    for job in jobs:
        if Job.objects(id=job.id).delete():  # a worker that is at it finds its lease gone, and leaves nothing
            yield str(job.id)
        if "file_id" in job.result:
            FILES.delete(job.result["file_id"])
