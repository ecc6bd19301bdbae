"""Jobs: the same effect once, and what is due."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["jobs"].create_index(
        [("key", ASCENDING)], unique=True, partialFilterExpression={"key": {"$type": "string"}}, name="key"
    )
    db["jobs"].create_index([("status", ASCENDING), ("run_at", ASCENDING), ("_id", ASCENDING)], name="due")
