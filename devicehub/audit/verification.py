"""Proving the trail: does every entry hash to what it says, and carry the hash of the one before it?"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from bson import ObjectId

from devicehub.audit.chain import GENESIS, Row, fingerprint
from devicehub.audit.models import AuditEntry
from devicehub.core import clock, ids

KEPT = timedelta(days=400)
_SLACK = timedelta(hours=1)  # of our clock against MongoDB's, which ends the entries
_BATCH = 1000

ALTERED = "it is not what was written"
UNCHAINED = "it does not continue the entry before it"
MISSING = "what was written before it is missing"
CUT_OFF = "the log knows of entries that are missing"
REWRITTEN = "the log knows another entry"

Witness = Mapping[int, str]


@dataclass(slots=True)
class Finding:
    """What the chain of one organization is worth; `head` is the hash of its last entry."""

    organization_id: str
    entries: int = 0
    first: int = 0
    last: int = 0
    head: str = ""
    broken_at: int | None = None
    why: str = ""


def verify(organization_id: ObjectId, witness: Witness) -> Finding:
    """Walk one chain; `witness` is what the log remembers of it, if it was asked (`testimony`).

    Entries end after 400 days, so a chain holds from the oldest that is kept: each tells when the one before it
    was written, and only what was written that long ago may be missing.
    """
    found = Finding(str(organization_id))
    before: Row | None = None
    for row in _walk(organization_id):
        is_next = row["sequence"] == (before["sequence"] + 1 if before else 1)
        if before is None or (not is_next and _has_lapsed(row)):
            found.first, found.entries = row["sequence"], 0
        found.entries, found.last, found.head = found.entries + 1, row["sequence"], row.get("hash", "")
        if found.broken_at is None and (why := _fault(row, before, witness, is_next=is_next)):
            found.broken_at, found.why = row["sequence"], why
        before = row
    if found.broken_at is None and max(witness, default=0) > found.last:
        found.broken_at, found.why = found.last + 1, CUT_OFF
    return found


def _fault(row: Row, before: Row | None, witness: Witness, *, is_next: bool) -> str:
    """What is wrong with an entry behind the one before it; nothing when all is well."""
    if row.get("hash") != fingerprint(row):
        return ALTERED
    if witness.get(row["sequence"], row["hash"]) != row["hash"]:
        return REWRITTEN
    if not is_next:
        return "" if _has_lapsed(row) else MISSING
    return "" if row["previous"] == (before["hash"] if before else GENESIS) else UNCHAINED


def _has_lapsed(row: Row) -> bool:
    """Whether the time of what was written before this entry is over."""
    written_at: datetime | None = row.get("previous_at")
    return written_at is not None and written_at + KEPT < clock.now() + _SLACK


def _walk(organization_id: ObjectId) -> Iterator[Row]:
    """Every entry in order, by many short queries: a long one would hold the database up."""
    beyond: dict[str, Any] = {}
    entries = AuditEntry._get_collection()
    while batch := list(
        entries.find({"organization_id": organization_id} | beyond).sort("sequence").limit(_BATCH)
    ):
        yield from batch
        beyond = {"sequence": {"$gt": batch[-1]["sequence"]}}


def organizations() -> Iterator[ObjectId]:
    """Every organization that has a chain."""
    beyond: dict[str, Any] = {}
    while row := AuditEntry._get_collection().find_one(
        beyond, {"organization_id": 1}, sort=[("organization_id", 1)]
    ):
        yield row["organization_id"]
        beyond = {"organization_id": {"$gt": row["organization_id"]}}


def testimony(lines: Iterable[str | bytes]) -> dict[ObjectId, dict[int, str]]:
    """What a log (JSON lines) says was appended: sequences and hashes, of each organization.

    Lines that say anything else are passed over, and those about entries whose time is over.
    """
    told: dict[ObjectId, dict[int, str]] = defaultdict(dict)
    oldest = clock.rfc3339(clock.now() - KEPT + _SLACK)
    for line in lines:
        try:
            said = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        is_ours = isinstance(said, dict) and said.get("event") == "audit.appended" and said["timestamp"] > oldest
        if is_ours and (organization_id := ids.parse(said["organization_id"])):
            told[organization_id][said["sequence"]] = said["hash"]
    return told
