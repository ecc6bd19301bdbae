"""Notifications: those of an organization, for when it is deleted; and the devices that are to be told of."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database

KEPT_S = 90 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    boxes = db["notifications"]
    boxes.create_index([("items.organization_id", ASCENDING)], name="of_organization")
    # Whose newest is older than that holds nothing that is shown.
    boxes.create_index([("last_at", ASCENDING)], expireAfterSeconds=KEPT_S, name="gone")
    db["notification_rules"].create_index([("organization_id", ASCENDING)], name="of_organization")
    waiting = {"notice.due_at": {"$exists": True}}
    db["devices"].create_index([("notice.due_at", ASCENDING)], partialFilterExpression=waiting, name="notice")
