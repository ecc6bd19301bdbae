"""Doing a job: claim it, do it under the eyes of a keeper, write how it ended. `run` is all that RQ knows of."""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from devicehub.core import cache, config, mongo, redis
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError
from devicehub.core.redis import RedisAway
from devicehub.jobs import askers, failures, registry, telling, turns
from devicehub.jobs.claims import Claim
from devicehub.jobs.errors import Cancelled, LeaseLost, Stopped, UnknownJob, WorkerLost
from devicehub.jobs.keeper import GiveUp, Keeper

log = structlog.get_logger(__name__)

TELL_EVERY_S = 1.0


def run(job_id: str) -> None:
    """Do a job in a process forked for it. Never raises: what is known of jobs is not left in Redis."""
    mongo.connect_for_work(config.current())
    try:
        perform(job_id, give_up=_leave)
    except Exception:  # the job stands as it stood, and is brought back when its lease lapses
        log.exception("job.left", job_id=job_id)
    if redis.current().failures:  # what this process could not tell the others, it has to tell before it goes
        with suppress(RedisAway):
            cache.current().settle()


def perform(job_id: str, *, give_up: GiveUp) -> None:
    """Do a job if it is due and nobody else's; raises only what a database that is away raises."""
    claim = turns.claim(job_id)
    if claim is None:
        log.info("job.not_to_be_had", job_id=job_id)
        return
    words = {"job_id": job_id, "job": claim.row["name"], "attempt": claim.attempt}
    if request_id := claim.row.get("request_id"):
        words["request_id"] = request_id
    with structlog.contextvars.bound_contextvars(**words):
        try:
            _complete(claim, _do(claim, give_up))
        except (Exception, Stopped) as reason:
            conclude(claim, reason)
        else:
            log.info("job.completed")


def _complete(claim: Claim, result: Mapping[str, Any]) -> None:
    watched = bool(claim.row.get("watched"))
    try:
        claim.complete(result, untold=watched)
    except Stopped:
        registry.registered(claim.row["name"]).undo(result)
        raise
    if watched:
        telling.ended({**claim.row, "status": "completed"})


def conclude(claim: Claim, reason: BaseException) -> None:
    """Write that a job came to nothing, and tell if it was given up."""
    try:
        if isinstance(reason, LeaseLost):
            log.warning("job.lease_lost")
        elif isinstance(reason, Cancelled):
            claim.cancel()
            telling.progressed(claim.row, "cancelled", claim.row.get("progress"))
            log.info("job.cancelled")
        else:
            _fail(claim, reason)
    except Stopped as other:
        conclude(claim, other)


def _fail(claim: Claim, reason: BaseException) -> None:
    again_in = _again_in(claim, reason)
    claim.fail(failures.redacted(reason), again_in=again_in)
    log.error("job.failed", again_in=again_in, exc_info=reason)
    if again_in is None:
        telling.ended({**claim.row, "status": "failed"})


def _again_in(claim: Claim, reason: BaseException) -> float | None:
    """Seconds until the next attempt; None when there is to be none."""
    # An error of ours of the 4xx kind says that what was asked for cannot be: it would say so again.
    if isinstance(reason, DeviceHubError) and reason.status < 500:
        return None
    delays = registry.registered(claim.row["name"]).delays
    return delays[claim.attempt - 1] if claim.attempt <= len(delays) else None


def _do(claim: Claim, give_up: GiveUp) -> Mapping[str, Any]:
    name = claim.row["name"]
    try:
        job = registry.registered(name)
    except KeyError:
        raise UnknownJob(name=name) from None
    if claim.attempt > 1 + len(job.delays):  # its last worker did not live to give it up
        raise WorkerLost()
    telling.progressed(claim.row, "processing")
    keeper = Keeper(claim, job.timeout_s, give_up)
    with keeper.keeping():
        return job.work(_Context(claim, keeper)) or {}


def _leave(claim: Claim, reason: Stopped) -> None:
    """End the process whose work does not hear that it is to end."""
    try:
        conclude(claim, reason)
    finally:
        os._exit(1)


class _Context:
    """What a job is given; see `registry.Context`."""

    def __init__(self, claim: Claim, keeper: Keeper) -> None:
        self.job_id = str(claim.id)
        self.arguments: Mapping[str, Any] = claim.row["arguments"]
        self.actor: Actor | None = askers.asker(claim.row)
        self.attempt = claim.attempt
        self.check = keeper.check
        self._claim = claim
        self._told: tuple[str, float] = ("", 0.0)

    def progress(self, step: str, done: int, total: int | None = None) -> None:
        self.check()
        last_step, last_at = self._told
        if step != last_step or done == total or time.monotonic() - last_at >= TELL_EVERY_S:
            progress = {"step": step, "done": done, "total": total}
            self._claim.tell(progress)
            telling.progressed(self._claim.row, "processing", progress)
            self._told = (step, time.monotonic())
