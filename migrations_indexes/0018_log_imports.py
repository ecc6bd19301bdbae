"""Imports of logs, for 30 days; and what is left to be written of them."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

KEPT_S = 30 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    organization = ("organization_id", ASCENDING)
    imports, parts = db["log_imports"], db["log_import_parts"]
    imports.create_index([organization, ("user_id", ASCENDING), ("_id", DESCENDING)], name="of_user")
    parts.create_index([organization, ("import_id", ASCENDING)], name="of_import")
    for each in (imports, parts):
        each.create_index([("created_at", ASCENDING)], expireAfterSeconds=KEPT_S, name="gone")
