"""Holding a worker up in the middle of its job, however fast it is: it is to write what we are about to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devicehub.core import mongo


@contextmanager
def held(collection: str, row: dict[str, Any]) -> Iterator[None]:
    """In this block nobody comes past writing a row of the same key; after it, it is as if there had been none.

    Who comes to it waits, or, in a transaction, begins that anew, again and again.
    """
    with mongo.client().start_session() as session, session.start_transaction():
        mongo.database()[collection].insert_one(row, session=session)
        yield
        session.abort_transaction()


def is_waited_for(collection: str) -> bool:
    """Whether somebody is inserting into a collection right now."""
    db = mongo.database()
    inserting = {"op": "insert", "ns": f"{db.name}.{collection}"}
    return any(db.client.admin.aggregate([{"$currentOp": {}}, {"$match": inserting}]))
