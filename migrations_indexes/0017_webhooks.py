"""Webhooks: so many an organization, those that are due; deliveries once an event, by what they are listed by."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

KEPT_S = 30 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    webhooks, deliveries = db["webhooks"], db["webhook_deliveries"]
    place = [("organization_id", ASCENDING), ("slot", ASCENDING)]
    webhooks.create_index(place, unique=True, name="place")
    due = {"due_at": {"$exists": True}}
    webhooks.create_index([("due_at", ASCENDING)], partialFilterExpression=due, name="due")
    once = [("webhook_id", ASCENDING), ("event_id", ASCENDING)]
    deliveries.create_index(once, unique=True, name="once")
    deliveries.create_index([("webhook_id", ASCENDING), ("_id", DESCENDING)], name="of_webhook")
    for name in ("status", "event"):
        listed = [("webhook_id", ASCENDING), (name, ASCENDING), ("_id", DESCENDING)]
        deliveries.create_index(listed, name=f"by_{name}")
    pending = {"status": "pending"}
    waiting = [("webhook_id", ASCENDING), ("due_at", ASCENDING), ("_id", ASCENDING)]
    deliveries.create_index(waiting, partialFilterExpression=pending, name="waiting")
    overdue = [("due_at", ASCENDING), ("webhook_id", ASCENDING)]
    deliveries.create_index(overdue, partialFilterExpression=pending, name="overdue")
    deliveries.create_index([("organization_id", ASCENDING)], name="of_organization")
    deliveries.create_index([("created_at", ASCENDING)], expireAfterSeconds=KEPT_S, name="gone")
