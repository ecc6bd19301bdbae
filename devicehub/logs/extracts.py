"""Many logs at once, as they lie in their index: device by device, and of each in the order of time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId

from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.logs.models import Log

BATCH = 2000
_INDEX = "of_device"
_ORDER = [("device_id", -1), ("at", 1), ("_id", 1)]

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which logs: from `start` until just before `end`, of all devices, events and levels if none are named."""

    start: datetime
    end: datetime
    device_ids: Sequence[ObjectId] = ()
    events: Sequence[str] = ()
    levels: Sequence[str] = field(default=())

    def conditions(self) -> Row:
        """The same as MongoDB takes it."""
        named = {"device_id": self.device_ids, "event": self.events, "level": self.levels}
        chosen: Row = {name: {"$in": list(some)} for name, some in named.items() if some}
        return chosen | {"at": {"$gte": self.start, "$lt": self.end}}


def count(actor: Actor, wanted: Wanted, *, at_most: int | None = None) -> int:
    """How many logs that is, as far as the caller may see; of more than `at_most`, one more than that."""
    limit = {} if at_most is None else {"limit": at_most + 1}
    return int(Log._get_collection().count_documents(_seen(actor, wanted), hint=_INDEX, **limit))


def batches(actor: Actor, wanted: Wanted, *, size: int = BATCH) -> Iterator[list[Row]]:
    """The logs as they are stored, some at a time; never many of them in memory."""
    with (
        Log._get_collection().find(_seen(actor, wanted), batch_size=size).sort(_ORDER).hint(_INDEX) as rows,
        ThreadPoolExecutor(1) as reader,
    ):
        ahead = reader.submit(_some, rows, size)  # MongoDB works on the next while we work on these
        while some := ahead.result():
            ahead = reader.submit(_some, rows, size)
            yield some


def _some(rows: Iterator[Row], size: int) -> list[Row]:
    return list(islice(rows, size))


def events_of(actor: Actor, wanted: Wanted, *, at_most: int) -> list[str]:
    """The events that occur among them, in alphabetical order; of more than `at_most`, one more than that."""
    stages = [
        {"$match": _seen(actor, wanted)},
        {"$group": {"_id": "$event"}},
        {"$limit": at_most + 1},
    ]
    return sorted(row["_id"] for row in Log._get_collection().aggregate(stages, hint=_INDEX))


def _seen(actor: Actor, wanted: Wanted) -> Row:
    return seen_by(actor, Log) | wanted.conditions()
