"""Kept answers go when their day is over."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["idempotency_keys"].create_index([("expires_at", ASCENDING)], expireAfterSeconds=0, name="gone")
