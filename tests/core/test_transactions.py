"""Transactions of several who write the same at the same time, as processes do that know nothing of each other."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError, DuplicateKeyError

from devicehub.core import mongo, transactions

pytestmark = pytest.mark.usefixtures("app")
WRITERS = 6
Work = Callable[[ClientSession], Any]


def at_once(work: Work) -> None:
    begin = threading.Barrier(WRITERS)

    def write(_: int) -> None:
        begin.wait()
        transactions.run(work, timeout_s=20)

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))


def test_all_who_have_to_make_the_same_document_are_counted_in_it() -> None:
    """Each makes it if it is not there, in one of many updates."""
    days = mongo.database()["usage_days"]
    for round_ in range(10):
        key = {"organization_id": ObjectId(), "zone": "UTC", "at": round_, "part": "all"}
        update = UpdateOne(key, {"$inc": {"c": 1}}, upsert=True)
        at_once(lambda session, update=update: days.bulk_write([update], ordered=False, session=session))
        assert [row["c"] for row in days.find(key)] == [WRITERS]


def test_who_finds_a_key_taken_by_another_looks_again() -> None:
    """As whoever writes logs with the same sequence: what was not there when they looked is there when they write."""
    logs = mongo.database()["logs"]

    def write(session: ClientSession) -> None:
        key = {"device_id": device_id, "sequence": 1}
        if logs.find_one(key, session=session) is None:
            logs.insert_many([dict(key)], session=session)

    for _ in range(10):
        device_id = ObjectId()
        at_once(write)
        assert logs.count_documents({"device_id": device_id}) == 1


@pytest.mark.parametrize(
    "error", [DuplicateKeyError("E11000"), BulkWriteError({"writeErrors": [{"code": 11000}]})]
)
def test_a_key_that_stays_taken_is_an_error_in_the_end(error: Exception) -> None:
    tries: list[int] = []

    def work(_: ClientSession) -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        transactions.run(work)
    assert len(tries) > 1


def test_what_else_is_wrong_is_not_tried_again() -> None:
    tries: list[int] = []

    def work(_: ClientSession) -> None:
        tries.append(1)
        raise BulkWriteError({"writeErrors": [{"code": 121}]})

    with pytest.raises(BulkWriteError):
        transactions.run(work)
    assert len(tries) == 1
