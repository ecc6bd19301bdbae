"""MongoDB: one client a process, time-outs that bound a whole operation, and a name for its absence."""

from typing import Any

from mongoengine import connection
from mongoengine.errors import OperationError
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)
from pymongo.write_concern import WriteConcern

from devicehub.core.config import Settings

Document = dict[str, Any]
# Interrupted at shutdown, not primary, stepping down: the server is there and will serve again.
_TRANSIENT_CODES = frozenset({11600, 11602, 10107, 13435, 13436, 189, 91})


def connect(settings: Settings) -> None:
    """Make the client that MongoEngine's documents use; connects on first use, not here.

    `timeoutMS` bounds selection, pool wait, execution and retry together, and what is left of it goes to the
    server as `maxTimeMS`: a hung mongod is given up on as surely as a dead one.
    """
    _connect(
        settings,
        timeoutMS=settings.db_timeout_ms,
        maxPoolSize=settings.db_max_pool_size,
        minPoolSize=settings.db_min_pool_size,
    )


def connect_for_work(settings: Settings) -> None:
    """Make the client of a process that does a job: nobody waits for it, so it may take its time.

    A query may take a minute, and a failover is waited for. Always a new client: one that was used before a fork
    is of no use after it.
    """
    _connect(settings, socketTimeoutMS=60_000, serverSelectionTimeoutMS=20_000, connectTimeoutMS=5_000)


def _connect(settings: Settings, **patience: Any) -> None:
    connection.disconnect()
    connection.connect(
        host=settings.mongodb_uri,
        **patience,
        w="majority",
        retryWrites=True,
        tz_aware=True,
        uuidRepresentation="standard",
        connect=False,
        appname="devicehub",
    )


def client() -> "MongoClient[Document]":
    """The client `connect` made."""
    made: MongoClient[Document] = connection.get_connection()
    return made


def database() -> "Database[Document]":
    """The database the URI names (`devicehub` when it names none)."""
    db: Database[Document] = connection.get_db()
    return db


def snapshot() -> ClientSession:
    """A session whose reads all see the same moment: that of the first, with all that was acknowledged before."""
    return client().start_session(snapshot=True)


def at_ease(document: type[Any]) -> "Collection[Document]":
    """A document's collection, for writes that are not waited for until a majority has them.

    Nothing is lost alone: with one of them all is lost that was written after it.
    """
    collection: Collection[Document] = document._get_collection()
    return collection.with_options(write_concern=WriteConcern(w=1))


def is_alive() -> bool:
    """Whether MongoDB answers now."""
    try:
        client().admin.command("ping")
    except PyMongoError:
        return False
    return True


def is_outage(error: BaseException) -> bool:
    """Whether `error` says that MongoDB is away or too slow, rather than that our query is wrong."""
    if isinstance(error, OperationError):  # MongoEngine wraps what PyMongo raised in its save and delete
        cause = error.__cause__ or error.__context__
        return cause is not None and is_outage(cause)
    if isinstance(
        error, ConnectionFailure | AutoReconnect | ExecutionTimeout | WTimeoutError | WaitQueueTimeoutError
    ):
        return True
    return isinstance(error, PyMongoError) and (error.timeout or getattr(error, "code", None) in _TRANSIENT_CODES)
