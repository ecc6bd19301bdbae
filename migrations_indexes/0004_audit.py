"""The audit trail: one chain an organization, the ways it is asked for, and its end. And how users are listed."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

KEPT_S = 400 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    entries = db["audit_entries"]
    entries.create_index([("organization_id", ASCENDING), ("sequence", DESCENDING)], unique=True, name="chain")
    for name in ("actor_id", "action"):
        entries.create_index(
            [("organization_id", ASCENDING), (name, ASCENDING), ("sequence", DESCENDING)], name=f"of_{name}"
        )
    entries.create_index([("organization_id", ASCENDING), ("at", DESCENDING)], name="by_at")
    entries.create_index([("at", ASCENDING)], expireAfterSeconds=KEPT_S, name="lapsed")

    users = db["users"]
    users.create_index([("created_at", DESCENDING), ("_id", DESCENDING)], name="by_created_at")
    users.create_index([("role", ASCENDING), ("created_at", DESCENDING), ("_id", DESCENDING)], name="of_role")
