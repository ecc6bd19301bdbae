"""MongoDB: what counts as its absence, and what as our own mistake."""

import pytest
from flask import Flask
from mongoengine.errors import OperationError
from pymongo.errors import (
    AutoReconnect,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from devicehub.core import mongo
from devicehub.core.config import Settings
from devicehub.users.models import User


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        NetworkTimeout("slow"),
        NotPrimaryError("stepped down"),
        ServerSelectionTimeoutError("nobody"),
        WaitQueueTimeoutError("pool"),
        ExecutionTimeout("maxTimeMS", 50),
        WTimeoutError("majority", 64),
        OperationFailure("interrupted at shutdown", 11600),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer_a_late_one_and_a_server_going_down_are_outages(error: Exception) -> None:
    assert mongo.is_outage(error)


@pytest.mark.parametrize(
    "error", [DuplicateKeyError("twice", 11000), OperationFailure("bad query", 2), ValueError("ours")], ids=str
)
def test_our_own_mistakes_are_not(error: Exception) -> None:
    assert not mongo.is_outage(error)


def test_an_outage_is_known_through_what_mongoengine_wraps_it_in() -> None:
    try:
        try:
            raise AutoReconnect("gone")
        except AutoReconnect as gone:
            raise OperationError("Could not save document") from gone
    except OperationError as wrapped:
        assert mongo.is_outage(wrapped)
    assert not mongo.is_outage(OperationError("Could not save document"))


def test_writes_are_acknowledged_by_the_majority_and_times_know_their_zone(app: Flask) -> None:
    assert mongo.client().write_concern.document == {"w": "majority"}
    assert mongo.client().codec_options.tz_aware
    assert mongo.client().options.timeout == 2.5


def test_who_works_on_a_job_has_more_patience_than_who_answers_a_request(app: Flask, settings: Settings) -> None:
    before = mongo.client()
    try:
        mongo.connect_for_work(settings)
        options = mongo.client().options
        assert mongo.client() is not before
        assert (options.timeout, options.pool_options.socket_timeout) == (None, 60.0)
        assert mongo.client().write_concern.document == {"w": "majority"}
        assert User.objects.count() == 0
    finally:
        mongo.connect(settings)
    assert mongo.client().options.timeout == 2.5
