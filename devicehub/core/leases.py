"""Leases: at most one holder of a name at a time, judged by MongoDB's clock, so that no two machines disagree."""

from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

COLLECTION = "leases"


def acquire(db: "Database[dict[str, Any]]", name: str, holder: str, *, seconds: float) -> bool:
    """Take or renew the lease `name` for `seconds`; false while another holds it."""
    may = {"$or": [{"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}, {"$eq": ["$holder", holder]}]}
    until = {"$add": ["$$NOW", round(seconds * 1000)]}
    taken = {"holder": {"$cond": [may, holder, "$holder"]}, "until": {"$cond": [may, until, "$until"]}}
    try:
        row = db[COLLECTION].find_one_and_update(
            {"_id": name}, [{"$set": taken}], upsert=True, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:  # another made it in this very moment
        return False
    return row is not None and bool(row["holder"] == holder)


def release(db: "Database[dict[str, Any]]", name: str, holder: str) -> None:
    """Give the lease `name` back if `holder` still has it."""
    db[COLLECTION].delete_one({"_id": name, "holder": holder})
