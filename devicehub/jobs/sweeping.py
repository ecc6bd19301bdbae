"""The sweeper: brings to the workers what is due and lies in no queue.

Whatever Redis forgets or a killed worker leaves behind is found here, from MongoDB alone.
"""

from datetime import timedelta

import structlog

from devicehub.core import clock, queue
from devicehub.core.redis import RedisAway
from devicehub.jobs import claims, telling
from devicehub.jobs.claims import LAPSED, NO_LEASE

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 1000
TELLING_S = 30


def sweep() -> None:
    """One round."""
    _cancel_abandoned()
    _tell_untold()
    try:
        _bring()
    except RedisAway as error:
        log.info("sweeper.redis_away", error=str(error))


def _bring() -> None:
    """Put everything that can be claimed and does not lie in the queue there."""
    waiting, brought = queue.waiting(), 0
    due = {"status": "pending", "run_at": {"$lte": clock.now()}}
    for state in (due, LAPSED):
        for row in claims.jobs().find(state, {"_id": 1, "bulk": 1}):
            job_id = str(row["_id"])
            if job_id in waiting:
                continue
            queue.put(job_id, bulk=bool(row.get("bulk")))
            brought += 1
            if brought == MOST_AT_ONCE:
                return


def _cancel_abandoned() -> None:
    """Whoever was to stop is gone: nobody works on it any more."""
    ended = {"status": "cancelled", "finished_at": clock.now()}
    asked = LAPSED | {"cancel_requested_at": {"$ne": None}}
    claims.jobs().update_many(asked, {"$set": ended, "$unset": NO_LEASE})


def _tell_untold() -> None:
    """Of those whose worker was killed between the end and saying so."""
    long_ago = clock.now() - timedelta(seconds=TELLING_S)
    for row in claims.jobs().find({"untold": True, "finished_at": {"$lte": long_ago}}):
        telling.ended(row)
