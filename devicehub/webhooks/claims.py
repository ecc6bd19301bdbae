"""Who sends to a webhook: one at a time, so that its deliveries keep their order; whoever dies is succeeded.

A webhook is due when a delivery of it may be. Whoever claims it moves that to the end of the claim, so that it is
due again if they never come back; an event that comes meanwhile makes it due at once, for when it is free.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection as Rows

from devicehub.core import clock, crypto
from devicehub.webhooks.models import Webhook

LIFE = timedelta(seconds=60)

Row = dict[str, Any]


def webhooks() -> "Rows[Row]":
    """The webhooks, past the ODM: every write here is one conditional update."""
    collection: Rows[Row] = Webhook._get_collection()
    return collection


def mark(webhook_ids: Collection[ObjectId]) -> None:
    """There may be something to send for these, now."""
    if webhook_ids:
        webhooks().update_many({"_id": {"$in": list(webhook_ids)}}, {"$min": {"due_at": clock.now()}})


def take() -> Row | None:
    """Claim the webhook that has been due for longest and is nobody's; None when there is none."""
    moment = clock.now()
    until = moment + LIFE
    free = {"due_at": {"$lte": moment}, "claimed_until": {"$not": {"$gt": moment}}}
    claimed = {"claim": crypto.random_token(9), "claimed_until": until, "due_at": until}
    return webhooks().find_one_and_update(
        free, {"$set": claimed}, sort=[("due_at", 1)], return_document=ReturnDocument.AFTER
    )


def still(row: Row) -> Row | None:
    """A claimed webhook as it is now; None when it is deleted, disabled, or somebody else's by now."""
    return webhooks().find_one({"_id": row["_id"], "claim": row["claim"], "enabled": True})


def release(row: Row, due_at: datetime | None, *, rest_until: datetime | None = None) -> None:
    """Give a claim back; the webhook is due at `due_at` (never, if that is None), or sooner if it was marked.

    Until `rest_until` nobody may claim it, whatever happens meanwhile.
    """
    unmarked = {"$eq": ["$due_at", "$claimed_until"]}
    marked: Any = {"$min": ["$due_at", due_at]}
    webhooks().update_one(
        {"_id": row["_id"], "claim": row["claim"]},
        [
            {"$set": {"due_at": {"$cond": [unmarked, "$$REMOVE" if due_at is None else due_at, marked]}}},
            {"$set": {"claim": "$$REMOVE", "claimed_until": rest_until or "$$REMOVE"}},
        ],
    )
