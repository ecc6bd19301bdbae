"""Leases: one holder at a time, by MongoDB's clock."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from pymongo.database import Database

from devicehub.core import leases, mongo
from tests.conftest import wait_until

NAME = "test"
Db = Database[dict[str, Any]]


@pytest.fixture
def db(app: Flask) -> Db:
    database = mongo.database()
    database[leases.COLLECTION].delete_one({"_id": NAME})
    return database


def test_a_lease_has_one_holder_until_it_is_given_back(db: Db) -> None:
    assert leases.acquire(db, NAME, "one", seconds=60)
    assert not leases.acquire(db, NAME, "other", seconds=60)
    leases.release(db, NAME, "one")
    assert leases.acquire(db, NAME, "other", seconds=60)


def test_its_holder_renews_it(db: Db) -> None:
    leases.acquire(db, NAME, "one", seconds=0.01)
    assert leases.acquire(db, NAME, "one", seconds=60)
    assert not leases.acquire(db, NAME, "other", seconds=60)


def test_a_lease_nobody_renews_goes_to_the_next_and_not_back(db: Db) -> None:
    leases.acquire(db, NAME, "one", seconds=0.05)
    wait_until(lambda: leases.acquire(db, NAME, "other", seconds=60))
    assert not leases.acquire(db, NAME, "one", seconds=60)


def test_who_does_not_hold_it_cannot_give_it_back(db: Db) -> None:
    leases.acquire(db, NAME, "one", seconds=60)
    leases.release(db, NAME, "other")
    assert not leases.acquire(db, NAME, "other", seconds=60)


def test_of_many_who_ask_at_once_one_gets_it(db: Db) -> None:
    with ThreadPoolExecutor(8) as askers:
        got = list(askers.map(lambda who: leases.acquire(db, NAME, str(who), seconds=60), range(16)))
    assert got.count(True) == 1
