"""The audit trail: one chain an organization."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    db["audit_entries"].create_index(
        [("organization_id", ASCENDING), ("sequence", DESCENDING)], unique=True, name="chain"
    )
