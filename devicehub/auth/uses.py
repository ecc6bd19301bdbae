"""When keys were last used: noted in memory and written together, so that no request waits for it.

At most once a minute for each key, whatever number of processes it is used in. What a process noted in its last
seconds is lost when it is killed.
"""

import time
from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from devicehub.auth.models import Key
from devicehub.core import clock

log = structlog.get_logger(__name__)

MOVES_EVERY = timedelta(minutes=1)
WRITTEN_EVERY_S = 5.0

_noted: dict[tuple[type[Key], str], datetime] = {}
_written: dict[tuple[type[Key], str], datetime] = {}


def note(document: type[Key], key_id: str) -> None:
    """This key has just been used."""
    moment, key = clock.now(), (document, key_id)
    before = _noted.get(key) or _written.get(key)
    if before is None or moment - before >= MOVES_EVERY:
        _noted[key] = moment


def write() -> None:
    """Write what was noted since the last time; raises what a database that is away raises."""
    noted = dict(_noted)
    for document in {document for document, _ in noted}:
        moves = [_move(key_id, at) for (kind, key_id), at in noted.items() if kind is document]
        document._get_collection().bulk_write(moves, ordered=False)
    _written.update(noted)
    for key, at in noted.items():
        if _noted.get(key) == at:
            del _noted[key]
    for key in [key for key, at in _written.items() if clock.now() - at >= MOVES_EVERY]:
        del _written[key]


def _move(key_id: str, at: datetime) -> UpdateOne:
    is_older = {"last_used_at": {"$not": {"$gt": at - MOVES_EVERY}}}  # or another process was here
    return UpdateOne({"_id": ObjectId(key_id)} | is_older, {"$set": {"last_used_at": at}})


def keep_writing() -> None:
    """Write every few seconds, for good."""
    while True:
        time.sleep(WRITTEN_EVERY_S)
        try:
            write()
        except PyMongoError as error:  # later
            log.info("key_uses.not_written", error=type(error).__name__)
        except Exception:
            log.exception("key_uses.failed")
