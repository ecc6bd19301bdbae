"""Bulk jobs by whose turn it is, one's own jobs of a kind, and the files that exports are kept in."""

from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database


def up(db: "Database[dict[str, Any]]") -> None:
    jobs = db["jobs"]
    jobs.create_index(
        [("bulk", ASCENDING), ("status", ASCENDING), ("run_at", ASCENDING)],
        name="bulk",
        partialFilterExpression={"bulk": True},
    )
    jobs.create_index(
        [("bulk", ASCENDING), ("user_id", ASCENDING), ("started_at", DESCENDING)],
        name="turns",
        partialFilterExpression={"bulk": True},
    )
    jobs.create_index(
        [
            ("organization_id", ASCENDING),
            ("user_id", ASCENDING),
            ("name", ASCENDING),
            ("_id", DESCENDING),
        ],
        name="own",
    )
    jobs.create_index(
        [("name", ASCENDING), ("status", ASCENDING), ("result.expires_at", ASCENDING)],
        name="expires",
        partialFilterExpression={"result.expires_at": {"$exists": True}},
    )
    files = db["exports.files"]
    files.create_index([("filename", ASCENDING), ("uploadDate", ASCENDING)], name="filename_1_uploadDate_1")
    files.create_index([("metadata.organization_id", ASCENDING)], name="of_organization")
    files.create_index([("metadata.job_id", ASCENDING)], name="of_job")
    db["exports.chunks"].create_index(
        [("files_id", ASCENDING), ("n", ASCENDING)], unique=True, name="files_id_1_n_1"
    )
