"""Organizations: whom a token invites, and receipts for deletions, kept for a month."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["organizations"].create_index([("invitations.token_hash", ASCENDING)], sparse=True, name="invitation")
    db["organization_deletions"].create_index(
        [("created_at", ASCENDING)], expireAfterSeconds=30 * 86_400, name="gone"
    )
