"""The outbox: the same news once, and for a month."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["mails"].create_index([("key", ASCENDING)], unique=True, name="key")
    db["mails"].create_index([("created_at", ASCENDING)], expireAfterSeconds=30 * 86_400, name="gone")
