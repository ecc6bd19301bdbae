"""Accounts, organizations and sessions."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["users"].create_index([("email", ASCENDING)], unique=True, name="email")
    db["organizations"].create_index([("members.user_id", ASCENDING), ("_id", ASCENDING)], name="member")
    db["sessions"].create_index(
        [
            ("user_id", ASCENDING),
            ("revoked_at", ASCENDING),
            ("last_seen_at", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="user_live",
    )
    # A day after a session can no longer be renewed nobody asks for it.
    db["sessions"].create_index([("ends_at", ASCENDING)], expireAfterSeconds=86_400, name="gone")
