"""Schedules of reports: whose they are, and which are due."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    schedules = db["report_schedules"]
    schedules.create_index(
        [
            ("organization_id", ASCENDING),
            ("user_id", ASCENDING),
            ("created_at", DESCENDING),
            ("_id", DESCENDING),
        ],
        name="of_whom",
    )
    waiting = {"next_run_at": {"$exists": True}}
    schedules.create_index([("next_run_at", ASCENDING)], partialFilterExpression=waiting, name="due")
