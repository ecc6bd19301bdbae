"""Keys: found by their id, listed by what they belong to, and each alone in its place while it lives."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

# How long a key that was revoked is still told apart from one that never was.
REMEMBERED_S = 90 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    for name, whose in (("device_keys", "device_id"), ("api_keys", "user_id")):
        belongs_to = [("organization_id", ASCENDING), (whose, ASCENDING)]
        db[name].create_index([*belongs_to, ("created_at", DESCENDING), ("_id", DESCENDING)], name="of_whom")
        db[name].create_index(
            [*belongs_to, ("slot", ASCENDING)],
            unique=True,
            partialFilterExpression={"slot": {"$exists": True}},
            name="place",
        )
        db[name].create_index([("revoked_at", ASCENDING)], expireAfterSeconds=REMEMBERED_S, name="gone")
