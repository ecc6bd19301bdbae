"""Transactions: what is written in several places happens in all of them, or in none."""

from collections.abc import Callable
from typing import TypeVar

import pymongo
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from devicehub.core import config, mongo

Result = TypeVar("Result")
_TRIES = 5
_DUPLICATE_KEY = 11000


def run(work: Callable[[ClientSession], Result], *, timeout_s: float | None = None) -> Result:
    """What `work` returns once all it wrote in its session is committed; it may be called several times.

    Again when somebody else wrote the same at the same time, also when both had to insert it: MongoDB says of the
    later one only that its key is taken. All of it takes no longer than a request may, or than `timeout_s`.
    """
    allowed = config.current().db_timeout_ms / 1000 if timeout_s is None else timeout_s
    with pymongo.timeout(allowed), mongo.client().start_session() as session:
        for _ in range(_TRIES - 1):
            try:
                return session.with_transaction(work)
            except (DuplicateKeyError, BulkWriteError) as error:
                if not _is_taken(error):
                    raise
        return session.with_transaction(work)


def _is_taken(error: DuplicateKeyError | BulkWriteError) -> bool:
    """Whether all that went wrong is that keys were taken; one of many writes says so in another way."""
    if isinstance(error, DuplicateKeyError):
        return True
    failures = error.details.get("writeErrors", [])
    return bool(failures) and all(failure["code"] == _DUPLICATE_KEY for failure in failures)
