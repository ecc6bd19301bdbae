"""Presence: who is due, what is untold, and the history, which is kept for 90 days."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

KEPT_S = 90 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    devices = db["devices"]
    for name, field in (("due", "due_at"), ("untold", "untold.at")):
        devices.create_index([(field, ASCENDING)], partialFilterExpression={field: {"$exists": True}}, name=name)
    db["presence_history"].create_index(
        [("organization_id", ASCENDING), ("device_id", ASCENDING), ("seq", DESCENDING)],
        unique=True,
        name="of_device",
    )
    db["presence_history"].create_index([("at", ASCENDING)], expireAfterSeconds=KEPT_S, name="gone")
    # Until now a device counted its beats, and was online for ever. The sweeper takes it from here.
    devices.update_many({"beats": {"$exists": True}}, [{"$set": {"sequence": "$beats"}}, {"$unset": "beats"}])
    devices.update_many(
        {"presence": "online", "due_at": {"$exists": False}},
        [{"$set": {"presence_since": "$last_active_at", "due_at": "$last_active_at"}}],
    )
