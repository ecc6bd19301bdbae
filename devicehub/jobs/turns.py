"""Taking turns: nobody's bulk jobs wait for all those that somebody else asked for before.

An entry in the queue of bulk jobs is a ticket: it says that one of them may be begun, not which. Whoever draws it
begins the oldest job of the one who has been served longest ago. There are as many tickets as jobs, or more, so
each job is begun sooner or later; a ticket that was drawn for nothing is replaced by the sweeper.
"""

from typing import Any

from bson import ObjectId

from devicehub.core import clock, ids
from devicehub.jobs import claims
from devicehub.jobs.claims import Claim

_TRIES = 5


def claim(job_id: str) -> Claim | None:
    """Take a job, or, with a bulk job's ticket, the one whose turn it is; None when there is nothing to take."""
    row = claims.jobs().find_one({"_id": ids.parse(job_id)}, {"bulk": 1, "status": 1})
    if row is None or not row.get("bulk") or row["status"] == "processing":
        return claims.claim(job_id)
    for _ in range(_TRIES):
        chosen = _next()
        if chosen is None:
            return None
        if (taken := claims.claim(str(chosen))) is not None:
            return taken
    return None  # others are faster, again and again: they do the work then


def _next() -> ObjectId | None:
    """The oldest bulk job that is due of the one who was served longest ago, or never."""
    due = {"status": "pending", "run_at": {"$lte": clock.now()}, "bulk": True}
    oldest = {"$group": {"_id": "$user_id", "job": {"$min": "$_id"}}}
    firsts = {row["_id"]: row["job"] for row in claims.jobs().aggregate([{"$match": due}, oldest])}
    if len(firsts) < 2:
        return next(iter(firsts.values()), None)
    served: list[dict[str, Any]] = [
        {"$match": {"bulk": True, "user_id": {"$in": list(firsts)}, "started_at": {"$ne": None}}},
        {"$group": {"_id": "$user_id", "at": {"$max": "$started_at"}}},
    ]
    last = {row["_id"]: row["at"].timestamp() for row in claims.jobs().aggregate(served)}
    return firsts[min(firsts, key=lambda owner: (last.get(owner, 0.0), firsts[owner]))]
