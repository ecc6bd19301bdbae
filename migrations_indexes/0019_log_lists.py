"""Logs of a whole organization in the order of their time; apart from them those that are worth a look."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

NOTABLE = ["warning", "error", "critical"]


def up(db: "Database[dict[str, Any]]") -> None:
    organization, newest_first = ("organization_id", ASCENDING), [("at", DESCENDING), ("_id", DESCENDING)]
    logs = db["logs"]
    logs.create_index([organization, *newest_first], name="of_organization_by_time")
    logs.create_index(
        [organization, ("level", ASCENDING), *newest_first],
        partialFilterExpression={"level": {"$in": NOTABLE}},
        name="of_organization_by_level",
    )
    if "of_organization" in logs.index_information():  # the one above does all that it did
        logs.drop_index("of_organization")
