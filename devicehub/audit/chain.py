"""The chain: every entry of an organization carries the hash of the one before, so none changes or goes unseen.

SHA-256 without a key. A key would have to outlive every entry by itself, through all rotations of secrets, and
whoever loses it loses the proof; and an auditor needs none to check a copy. What a key would add (somebody who can
write to the database but not to us could not write the trail anew) the log does: each entry's sequence and hash go
there as `audit.appended` when it is written, and `devicehub audit verify --witness` compares.
"""

import hashlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import orjson
import structlog
from bson import ObjectId
from pymongo.errors import BulkWriteError

from devicehub.audit.models import AuditEntry
from devicehub.core import clock
from devicehub.core.errors import Busy, DatabaseUnavailable

log = structlog.get_logger(__name__)

Row = dict[str, Any]

GENESIS = "0" * 64
PATIENCE_S, LONGEST_PAUSE_S = 2.0, 0.05
_DUPLICATE_KEY = 11000


def append(organization_id: ObjectId, drafts: Sequence[Row]) -> list[int]:
    """Append entries to an organization's chain, in this order; returns their sequences.

    Who comes first takes the next sequence, the others try again behind it. Raises Busy when that goes on for too
    long, and what a database that is away raises.
    """
    deadline = time.monotonic() + PATIENCE_S
    appended: list[int] = []
    for attempt in count():
        rows = list(_linked(organization_id, drafts[len(appended) :]))
        written = rows[: _insert(rows)]
        appended += [row["sequence"] for row in written]
        _bear_witness(written)
        if len(appended) == len(drafts):
            break
        if time.monotonic() > deadline:
            raise Busy()
        time.sleep(random.uniform(0, min(LONGEST_PAUSE_S, 0.002 * 2**attempt)))  # noqa: S311 (no secret)
    return appended


def fingerprint(row: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of all that is stored of an entry but its hash.

    As JSON without blanks, keys in order, ids in hex, times as the API writes them: MongoDB gives back the same.
    """
    hashed = {name: value for name, value in row.items() if name != "hash"}
    options = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
    return hashlib.sha256(orjson.dumps(hashed, default=_text, option=options)).hexdigest()


def _text(value: Any) -> str:
    return clock.rfc3339(value) if isinstance(value, datetime) else str(value)


def _linked(organization_id: ObjectId, drafts: Sequence[Row]) -> Iterator[Row]:
    """The drafts as entries behind the one that is the last now."""
    last = AuditEntry._get_collection().find_one(
        {"organization_id": organization_id}, {"sequence": 1, "at": 1, "hash": 1}, sort=[("sequence", -1)]
    ) or {"sequence": 0, "hash": GENESIS}
    for draft in drafts:
        row = draft | {
            "_id": ObjectId(),
            "organization_id": organization_id,
            "sequence": last["sequence"] + 1,
            "previous": last["hash"],
        }
        if "at" in last:
            row["previous_at"] = last["at"]
        row["hash"] = fingerprint(row)
        last = row
        yield row


def _insert(rows: Sequence[Row]) -> int:
    """Write entries; returns how many there are before the first whose sequence somebody else has taken."""
    try:
        AuditEntry._get_collection().insert_many(rows, ordered=True)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # written, but it may be lost yet
            raise DatabaseUnavailable() from error
        [failure] = error.details["writeErrors"]
        if failure["code"] != _DUPLICATE_KEY:
            raise
        return int(failure["index"])
    return len(rows)


def _bear_witness(rows: Sequence[Row]) -> None:
    for row in rows:
        log.info(
            "audit.appended",
            organization_id=str(row["organization_id"]),
            sequence=row["sequence"],
            action=row["action"],
            hash=row["hash"],
        )
