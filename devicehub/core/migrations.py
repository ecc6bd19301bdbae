"""Collections and indexes: made only by `migrations_indexes/NNNN_name.py`, in order, once, by one process."""

import pkgutil
import threading
import time
from importlib import import_module
from typing import Any

import structlog
from pymongo import MongoClient
from pymongo.database import Database

import migrations_indexes
from devicehub.core import clock, crypto, leases
from devicehub.core.config import Settings

log = structlog.get_logger(__name__)

LEDGER = "schema_migrations"
LEASE_S = 60

# Set once this process knows its database to be up to date: before that a unique index may be missing.
done = threading.Event()


def names() -> list[str]:
    """Every migration there is, in the order they run in."""
    return sorted(module.name for module in pkgutil.iter_modules(migrations_indexes.__path__))


def pending(db: "Database[dict[str, Any]]") -> list[str]:
    """The migrations this database has not seen."""
    done = {row["_id"] for row in db[LEDGER].find({}, {"_id": 1})}
    return [name for name in names() if name not in done]


def migrate(settings: Settings) -> list[str]:
    """Bring the database up to date and return what was run; waits while another process does it.

    Uses a client of its own: building an index may take longer than a request is given.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings.mongodb_uri,
        tz_aware=True,
        uuidRepresentation="standard",
        w="majority",
        serverSelectionTimeoutMS=2000,
        socketTimeoutMS=60_000,
    )
    with client:
        applied = _bring_up(client.get_default_database("devicehub"))
    done.set()
    return applied


def _bring_up(db: "Database[dict[str, Any]]") -> list[str]:
    if not pending(db):
        return []
    holder = crypto.random_token(8)
    while not leases.acquire(db, "migrate", holder, seconds=LEASE_S):
        time.sleep(0.1)
    try:
        return [_run(db, name, holder) for name in pending(db)]
    finally:
        leases.release(db, "migrate", holder)


def _run(db: "Database[dict[str, Any]]", name: str, holder: str) -> str:
    leases.acquire(db, "migrate", holder, seconds=LEASE_S)
    import_module(f"migrations_indexes.{name}").up(db)
    db[LEDGER].update_one({"_id": name}, {"$setOnInsert": {"applied_at": clock.now()}}, upsert=True)
    log.info("migration.applied", name=name)
    return name
