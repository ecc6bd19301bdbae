"""Webhooks that fail: how long they have, and disabling those that failed for too long."""

from datetime import timedelta

from bson import ObjectId
from pymongo import ReturnDocument

from devicehub.audit import service as audit
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.notifications import service as notifications
from devicehub.notifications.service import News
from devicehub.organizations.models import Organization
from devicehub.webhooks import claims, deliveries, listening
from devicehub.webhooks.claims import Row
from devicehub.webhooks.sending import Outcome

LONGEST = timedelta(days=3)
MANY, LONG = 100, timedelta(days=1)
GONE = 410
_WHY = {
    "failing": "It has taken nothing for days.",
    "gone": "It answers that it is gone for good.",
}


def note(webhook: Row, outcome: Outcome) -> None:
    """Count an attempt, and disable a webhook that has failed for too long or says that it is gone."""
    if outcome.is_success:
        fresh = {"$set": {"last_delivery_at": outcome.at, "failures": 0}, "$unset": {"failing_since": ""}}
        claims.webhooks().update_one({"_id": webhook["_id"]}, fresh)
        return
    count = {"failures": {"$add": ["$failures", 1]}, "failing_since": {"$ifNull": ["$failing_since", outcome.at]}}
    row = claims.webhooks().find_one_and_update(
        {"_id": webhook["_id"], "enabled": True}, [{"$set": count}], return_document=ReturnDocument.AFTER
    )
    if row is not None and (outcome.status_code == GONE or _is_too_long(row)):
        _disable(row, "gone" if outcome.status_code == GONE else "failing")


def _is_too_long(row: Row) -> bool:
    lasted: timedelta = clock.now() - row["failing_since"]
    return lasted >= LONGEST or (row["failures"] >= MANY and lasted > LONG)


def _disable(webhook: Row, reason: str) -> None:
    """Disable one unless it was, or has been enabled anew; who dies before telling of it is succeeded."""
    moment = clock.now()
    as_read = {"_id": webhook["_id"], "enabled": True, "failing_since": webhook["failing_since"]}
    ended = {"enabled": False, "disabled_reason": reason, "disabled_at": moment, "untold": True, "due_at": moment}
    with listening.changing(str(webhook["organization_id"])):
        row = claims.webhooks().find_one_and_update(as_read, {"$set": ended}, return_document=ReturnDocument.AFTER)
    if row is not None:
        tell(row)


def tell(webhook: Row) -> None:
    """Tell the admins that a webhook was disabled, and give up what it is owed."""
    deliveries.give_up(webhook["_id"])
    webhook_id, reason = str(webhook["_id"]), webhook["disabled_reason"]
    organization_id = str(webhook["organization_id"])
    nobody = Actor(user_id="", organization_id=organization_id, role="viewer", kind="system")
    audit.record(nobody, "webhook.disabled", target=webhook_id, changes={"reason": reason})
    news = News(
        "webhook",
        "A webhook was disabled",
        f"Nothing is sent to {webhook['url']} any more. {_WHY[reason]}",
        {"webhookId": webhook_id, "reason": reason},
        organization_id,
    )
    for user_id in _admins(webhook["organization_id"]):
        notifications.notify(str(user_id), news, key=f"webhook.disabled:{webhook_id}:{webhook['disabled_at']}")
    claims.webhooks().update_one(
        {"_id": webhook["_id"], "disabled_at": webhook["disabled_at"]}, {"$unset": {"untold": ""}}
    )


def _admins(organization_id: ObjectId) -> list[ObjectId]:
    found = Organization.objects(id=organization_id, deleted_at=None).only("members").first()
    return [member.user_id for member in found.members if member.role in ("admin", "owner")] if found else []
