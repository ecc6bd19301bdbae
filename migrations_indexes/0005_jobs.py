"""Jobs: the same effect once, what is due, what is still to be told; forgotten 30 days after their end."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

KEPT_S = 30 * 86_400


def up(db: "Database[dict[str, Any]]") -> None:
    jobs = db["jobs"]
    jobs.create_index([("key", ASCENDING)], unique=True, sparse=True, name="key")
    jobs.create_index([("status", ASCENDING), ("run_at", ASCENDING), ("_id", ASCENDING)], name="due")
    for name in ("status", "organization_id"):
        jobs.create_index([(name, ASCENDING), ("_id", DESCENDING)], name=f"of_{name}")
    jobs.create_index([("untold", ASCENDING)], sparse=True, name="untold")
    jobs.create_index([("finished_at", ASCENDING)], expireAfterSeconds=KEPT_S, name="gone")
