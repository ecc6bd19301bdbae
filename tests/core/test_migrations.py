"""Migrations: in order, once, by one process."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from pymongo.database import Database

from devicehub.core import migrations, mongo
from devicehub.core.config import Settings
from tests.conftest import ROOT


@pytest.fixture
def elsewhere(app: Flask, settings: Settings) -> Iterator[Settings]:
    """Settings that name a database nobody has migrated."""
    yield settings.model_copy(update={"mongodb_uri": settings.mongodb_uri.replace("/devicehub?", "/unmigrated?")})
    mongo.client().drop_database("unmigrated")


@pytest.fixture
def db(elsewhere: Settings) -> Database[dict[str, Any]]:
    return mongo.client()["unmigrated"]


def indexes(db: Database[dict[str, Any]]) -> dict[str, set[str]]:
    return {
        name: set(db[name].index_information()) for name in ("users", "devices", "sessions", "idempotency_keys")
    }


def test_they_run_in_order_and_once_and_the_ledger_says_so(
    elsewhere: Settings, db: Database[dict[str, Any]]
) -> None:
    assert migrations.migrate(elsewhere) == migrations.names() != []
    assert migrations.migrate(elsewhere) == []
    rows = list(db[migrations.LEDGER].find().sort("applied_at"))
    assert [row["_id"] for row in rows] == migrations.names()


def test_each_may_run_again_on_what_it_has_made(elsewhere: Settings, db: Database[dict[str, Any]]) -> None:
    migrations.migrate(elsewhere)
    before = indexes(db)
    db[migrations.LEDGER].delete_many({})  # as after a crash between the work and the note of it
    assert migrations.migrate(elsewhere) == migrations.names()
    assert indexes(db) == before


def test_one_that_is_missing_is_run_whatever_came_after(elsewhere: Settings, db: Database[dict[str, Any]]) -> None:
    migrations.migrate(elsewhere)
    first = migrations.names()[0]
    db[migrations.LEDGER].delete_one({"_id": first})
    db["users"].drop_index("email")
    assert migrations.migrate(elsewhere) == [first]
    assert "email" in indexes(db)["users"]


def test_processes_that_start_together_run_each_migration_once(
    elsewhere: Settings, db: Database[dict[str, Any]]
) -> None:
    named = {"APP_ENV": "development", "MONGODB_URI": elsewhere.mongodb_uri, "REDIS_URL": elsewhere.redis_url}
    named |= {"JWT_SECRET": elsewhere.jwt_secret, "JWT_REFRESH_SECRET": elsewhere.jwt_refresh_secret}
    command = [sys.executable, "-m", "devicehub.cli", "migrate"]
    racers = [
        subprocess.Popen(command, cwd=ROOT, env=os.environ | named, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [racer.communicate(timeout=60)[0].splitlines()[-1] for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    ran = [name for line in said if line.startswith("Applied") for name in re.findall(r"\d{4}_\w+", line)]
    assert sorted(ran) == migrations.names()
    assert [row["_id"] for row in db[migrations.LEDGER].find().sort("_id")] == migrations.names()
