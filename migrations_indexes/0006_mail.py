"""The outbox: the same news once."""

from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["mails"].create_index([("key", ASCENDING)], unique=True, name="key")
