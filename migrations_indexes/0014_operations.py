"""Jobs by their name, and the dead letters among them, newest first."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    jobs = db["jobs"]
    jobs.create_index([("name", ASCENDING), ("_id", DESCENDING)], name="of_name")
    jobs.create_index(
        [("dead", ASCENDING), ("_id", DESCENDING)], name="dead", partialFilterExpression={"dead": True}
    )
