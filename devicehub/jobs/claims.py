"""Claims: a job belongs to whoever put its token there last, and every write about it has to match that token.

A worker that was stopped, cut off or merely slow may wake up and go on when its job is long done elsewhere: what
it then writes matches nothing. Time is MongoDB's, so that no two machines disagree about whose turn it is.
"""

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection

from devicehub.core import clock, config, crypto, ids
from devicehub.jobs.errors import Cancelled, LeaseLost
from devicehub.jobs.models import Job

LAPSED = {"status": "processing", "$expr": {"$lte": ["$lease_until", "$$NOW"]}}
NO_LEASE = {"lease": "", "lease_until": ""}

Row = dict[str, Any]


def jobs() -> "Collection[Row]":
    """The jobs, past the ODM: every write here is one conditional update."""
    collection: Collection[Row] = Job._get_collection()
    return collection


def claim(job_id: str) -> "Claim | None":
    """Take a job that is due, or whose worker fell silent; None when there is nothing to take."""
    token, begun = crypto.random_token(12), time.monotonic()
    due = {"status": "pending", "run_at": {"$lte": clock.now()}}
    row = jobs().find_one_and_update(
        {
            "_id": ids.parse(job_id),
            "cancel_requested_at": None,
            "$or": [due, LAPSED],
        },
        [
            {
                "$set": {
                    "status": "processing",
                    "attempts": {"$add": ["$attempts", 1]},
                    "lease": token,
                    "lease_until": _until(),
                    "started_at": clock.now(),
                }
            },
            {"$unset": "progress"},
        ],
        return_document=ReturnDocument.AFTER,
    )
    return Claim(row, token, begun) if row else None


def _until() -> Row:
    return {"$add": ["$$NOW", config.current().job_lease_seconds * 1000]}


class Claim:
    """A job that is ours as long as nobody else claims it."""

    def __init__(self, row: Row, token: str, begun: float) -> None:
        self.row, self.attempt = row, int(row["attempts"])
        self.id: ObjectId = row["_id"]
        self._mine = {"_id": self.id, "lease": token}
        self._good_until = begun + config.current().job_lease_seconds

    @property
    def is_fresh(self) -> bool:
        """Whether the lease cannot have lapsed, by our own clock, which counts while we are stopped."""
        return time.monotonic() < self._good_until

    def renew(self) -> None:
        """Keep the lease; raises Cancelled or LeaseLost."""
        begun = time.monotonic()
        self._write([{"$set": {"lease_until": _until()}}])
        self._good_until = begun + config.current().job_lease_seconds

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Write how far it is; raises Cancelled or LeaseLost."""
        self._write({"$set": {"progress": dict(progress)}})
        self.row["progress"] = dict(progress)  # who tells how it ended tells how far it came

    def look(self) -> None:
        """Raise Cancelled if somebody asked for that, LeaseLost if the job is not ours any more."""
        row = jobs().find_one(self._mine, {"cancel_requested_at": 1})
        if row is None:
            raise LeaseLost()
        if row.get("cancel_requested_at") is not None:
            raise Cancelled()

    def complete(self, result: Mapping[str, Any], *, untold: bool = False) -> None:
        """It is done; what `result` says is published by this very write. Raises Cancelled or LeaseLost."""
        told = {"untold": True} if untold else {}
        self._end({"status": "completed", "result": dict(result), **told}, {"error": ""})

    def cancel(self) -> None:
        """It was stopped because somebody asked for that; raises LeaseLost."""
        ended = {"status": "cancelled", "finished_at": clock.now()}
        if not jobs().update_one(self._mine, {"$set": ended, "$unset": NO_LEASE}).matched_count:
            raise LeaseLost()

    def fail(self, error: Mapping[str, str], *, again_in: float | None) -> None:
        """It came to nothing: to be tried again in so many seconds, or given up. Raises Cancelled or LeaseLost."""
        if again_in is None:
            self._end({"status": "failed", "error": dict(error), "dead": True, "untold": True})
            return
        later = clock.now() + timedelta(seconds=again_in)
        self._write({"$set": {"status": "pending", "run_at": later, "error": dict(error)}, "$unset": NO_LEASE})

    def _end(self, changes: Row, forgotten: Row | None = None) -> None:
        changes = changes | {"finished_at": clock.now()}
        self._write({"$set": changes, "$unset": NO_LEASE | (forgotten or {})})

    def _write(self, update: Any) -> None:
        """Write about a job that is ours and is not to be cancelled; else say which of the two it is not."""
        if not jobs().update_one(self._mine | {"cancel_requested_at": None}, update).matched_count:
            self.look()
            raise LeaseLost()
