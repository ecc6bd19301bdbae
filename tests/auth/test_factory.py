"""The accounts that tests are given are those of people who have signed up and in."""

from datetime import datetime, timedelta
from typing import Any

import orjson
from bson import ObjectId
from flask import Flask

from devicehub.auth import service as auth
from devicehub.core import mongo, redis
from tests import factories
from tests.factories import PASSWORD, Account, make_account

THEIR_OWN = ("email", "password_hash", "salt", "joined")


def test_one_is_what_signing_up_and_in_makes(app: Flask) -> None:
    auth.sign_up(name="Ada Lovelace", email="person0@example.com", password=PASSWORD)
    grown, made = factories.log_in("person0@example.com"), make_account()
    assert kept(made) == kept(grown)
    assert remembered(made) == remembered(grown)


def test_one_signs_in_and_goes_on(app: Flask) -> None:
    account = make_account(role="operator")
    assert factories.log_in(account.email).actor.role == "operator"
    assert factories.go_on_in(account, account.actor.organization_id).actor.role == "operator"


def kept(account: Account) -> Any:
    """What MongoDB keeps of somebody."""
    actor, db = account.actor, mongo.database()
    found = [
        db["users"].find_one(ObjectId(actor.user_id)),
        db["organizations"].find_one(ObjectId(actor.organization_id)),
        db["sessions"].find_one(ObjectId(actor.session_id)),
    ]
    return plain(found, found[2]["created_at"], names(account))


def remembered(account: Account) -> Any:
    """What Redis remembers of somebody."""
    keys = (f"sess:{account.actor.session_id}", f"user:{account.actor.user_id}")
    values = [value.partition(b"|")[2] for value in redis.current().client.mget(keys)]
    return plain([orjson.loads(value) for value in values], None, names(account))


def names(account: Account) -> dict[str, str]:
    actor = account.actor
    return {actor.user_id: "user", actor.organization_id: "organization", str(actor.session_id): "session"}


def plain(value: Any, start: datetime | None, names: dict[str, str]) -> Any:
    """The same for any two people: ids by name, times by how far from `start`, and nothing that is only theirs."""
    if isinstance(value, dict):
        return {
            names.get(key, key): plain(item, start, names) for key, item in value.items() if key not in THEIR_OWN
        }
    if isinstance(value, list):
        return [plain(item, start, names) for item in value]
    if isinstance(value, datetime):
        assert start is not None
        return round((value - start) / timedelta(minutes=1))
    return names.get(str(value), value)
