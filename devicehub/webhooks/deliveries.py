"""The ledger: what each webhook is owed, what came of every attempt, and what is sent once more."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable, InvalidDateRange
from devicehub.core.paging import After, Stretch
from devicehub.webhooks import claims
from devicehub.webhooks.claims import Row
from devicehub.webhooks.errors import DeliveryNotFound
from devicehub.webhooks.messages import Message
from devicehub.webhooks.models import Delivery
from devicehub.webhooks.sending import Outcome

# Seconds from each failure to the next attempt, give or take a fifth.
DELAYS = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
JITTER = 0.2
LONGEST_WAIT_S = 86_400.0
MOST_ATTEMPTS = 20
# Whoever wrote a delivery marks its webhook in the next moment; after this they died before.
UNMARKED = timedelta(minutes=1)
_DUPLICATE_KEY = 11000


def rows() -> "Collection[Row]":
    """The deliveries, past the ODM: they come in batches, and every write is one conditional update."""
    collection: Collection[Row] = Delivery._get_collection()
    return collection


def drafted(webhook_id: ObjectId, message: Message) -> Row:
    """A delivery that is owed from now on, not written yet."""
    moment = clock.now()
    return {
        "_id": ObjectId(),
        "organization_id": ObjectId(message.organization_id),
        "webhook_id": webhook_id,
        "event_id": message.id,
        "event": message.kind,
        "body": message.body,
        "status": "pending",
        "tries": 0,
        "attempts": [],
        "due_at": moment,
        "created_at": moment,
    }


def owe(drafts: Sequence[Row]) -> None:
    """Write deliveries, each event once for a webhook, and see to it that they are sent."""
    if not drafts:
        return
    try:
        rows().insert_many(list(drafts), ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # written, but it may be lost yet
            raise DatabaseUnavailable() from error
        if any(failure["code"] != _DUPLICATE_KEY for failure in error.details["writeErrors"]):
            raise
    claims.mark({draft["webhook_id"] for draft in drafts})


def mark_forgotten() -> None:
    """Make those webhooks due whose deliveries were written by somebody who died in the next moment."""
    overdue = {"status": "pending", "due_at": {"$lte": clock.now() - UNMARKED}}
    claims.mark(rows().distinct("webhook_id", overdue))


def next_of(webhook_id: ObjectId) -> Row | None:
    """The delivery of a webhook that has been due for longest, or will be first; None when none is pending."""
    pending = {"webhook_id": webhook_id, "status": "pending"}
    return rows().find_one(pending, sort=[("due_at", 1), ("_id", 1)])


def note(delivery: Row, outcome: Outcome) -> None:
    """Write what came of an attempt, and when the next one is; not over a later request to send it."""
    attempt = {
        "at": outcome.at,
        "status_code": outcome.status_code,
        "duration_ms": outcome.duration_ms,
        "error": outcome.error,
        "answer": outcome.answer,
    }
    update: Row = {"$push": {"attempts": {"$each": [attempt], "$slice": -MOST_ATTEMPTS}}, "$inc": {"tries": 1}}
    if outcome.is_success:
        update |= {"$set": {"status": "delivered", "delivered_at": outcome.at}, "$unset": {"due_at": ""}}
    elif delivery["tries"] < len(DELAYS):
        update |= {"$set": {"due_at": _again_at(delivery["tries"], outcome)}}
    else:
        update |= {"$set": {"status": "failed"}, "$unset": {"due_at": ""}}
    as_read = {name: delivery[name] for name in ("_id", "tries", "due_at")}
    rows().update_one(as_read | {"status": "pending"}, update)


def _again_at(tries: int, outcome: Outcome) -> datetime:
    seconds = DELAYS[tries] * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    asked = min(outcome.retry_after_s or 0.0, LONGEST_WAIT_S)
    return outcome.at + timedelta(seconds=max(seconds, asked))


def give_up(webhook_id: ObjectId) -> None:
    """Nothing that is pending for a webhook is sent by itself any more; it may be asked for."""
    pending = {"webhook_id": webhook_id, "status": "pending"}
    rows().update_many(pending, {"$set": {"status": "failed"}, "$unset": {"due_at": ""}})


def find(actor: Actor, webhook_id: ObjectId, query: Mapping[str, Any], after: After) -> Stretch[Delivery]:
    """A webhook's deliveries, newest first."""
    chosen = _of(actor, webhook_id).filter(**{name: query[name] for name in ("status", "event") if name in query})
    if after.position is not None:
        chosen = chosen.filter(id__lt=ids.parse(str(after.position[0])))
    found = list(chosen.order_by("-id").limit(after.limit + 1))
    return after.cut(found, lambda delivery: (str(delivery.id),))


def get(actor: Actor, webhook_id: ObjectId, delivery_id: str) -> Delivery:
    """One delivery of a webhook; raises DeliveryNotFound."""
    wanted = ids.parse(delivery_id)
    delivery: Delivery | None = _of(actor, webhook_id).filter(id=wanted).first() if wanted else None
    if delivery is None:
        raise DeliveryNotFound(delivery_id=delivery_id)
    return delivery


def replay(actor: Actor, webhook_id: ObjectId, delivery_id: str) -> Delivery:
    """Send one once more, whatever became of it, with all its attempts before it; raises DeliveryNotFound."""
    delivery: Delivery | None = (
        _of(actor, webhook_id).filter(id=ids.parse(delivery_id)).modify(new=True, __raw__=_anew())
    )
    if delivery is None:
        raise DeliveryNotFound(delivery_id=delivery_id)
    claims.mark([webhook_id])
    return delivery


def replay_failed(actor: Actor, webhook_id: ObjectId, query: Mapping[str, Any]) -> tuple[int, bool]:
    """Send the oldest failed ones once more, `limit` at most: how many, and whether more are left.

    Raises InvalidDateRange.
    """
    if "from" in query and "to" in query and query["from"] > query["to"]:
        raise InvalidDateRange(errors={"to": ["It lies before `from`."]})
    chosen = _of(actor, webhook_id).filter(status="failed")
    bounds = {"created_at__gte": query.get("from"), "created_at__lt": query.get("to")}
    chosen = chosen.filter(**{name: moment for name, moment in bounds.items() if moment})
    found = list(chosen.order_by("id").limit(query["limit"] + 1).scalar("id"))
    wanted = {"_id": {"$in": found[: query["limit"]]}, "webhook_id": webhook_id, "status": "failed"}
    replayed = rows().update_many(wanted, _anew()).modified_count
    claims.mark([webhook_id])
    return replayed, len(found) > query["limit"]


def _anew() -> Row:
    return {"$set": {"status": "pending", "tries": 0, "due_at": clock.now()}}


def _of(actor: Actor, webhook_id: ObjectId) -> Any:
    return Delivery.objects.visible_to(actor).filter(webhook_id=webhook_id)
