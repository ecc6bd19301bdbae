"""Client events: counted, and answered whatever their handler does."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, request

from devicehub.auth import revocation
from devicehub.core.actor import Actor
from devicehub.core.redis import RedisAway
from devicehub.realtime import hub
from devicehub.web import sockets
from devicehub.web.schemas import Schema
from devicehub.web.sockets import EVENTS_PER_MINUTE, TooManyEvents
from tests.factories import make_account

ACTOR = Actor("65f000000000000000000002", "65f000000000000000000001", "owner")


@pytest.fixture(autouse=True)
def connection(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The context of an event of a connected socket."""
    monkeypatch.setitem(hub.ours().connections, "a-sid", hub.Connection(ACTOR))
    with app.test_request_context("/socket.io/"):
        request.sid = "a-sid"  # type: ignore[attr-defined]
        yield


def test_a_token_that_has_ended_is_refused_at_the_next_event(monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account()
    monkeypatch.setitem(hub.ours().connections, "a-sid", hub.Connection(account.actor))
    monkeypatch.setattr(sockets.realtime, "tell", lambda *_: None)
    answered = sockets.answered(Schema, lambda actor, sid: {})
    assert answered()["ok"]
    revocation.end(account.actor.session_id or "")
    assert answered()["error"]["code"] == "TOKEN_REVOKED"


@pytest.mark.parametrize(
    ("failure", "code"),
    [(RuntimeError("a secret inside"), "INTERNAL_ERROR"), (RedisAway(), "SERVICE_UNAVAILABLE")],
)
def test_a_handler_that_fails_is_answered_for_and_tells_nothing_of_the_inside(
    failure: Exception, code: str
) -> None:
    def handle(actor: Actor, sid: str) -> dict[str, Any]:
        raise failure

    answer = sockets.answered(Schema, handle, known=False)()
    assert (answer["ok"], answer["error"]["code"]) == (False, code)
    assert "secret" not in str(answer)


def test_a_handler_is_told_who_asks_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def handle(*args: Any) -> dict[str, Any]:
        asked.extend(args)
        return {"done": True}

    assert sockets.answered(Schema, handle, known=False)({}) == {"ok": True, "done": True}
    assert asked == [ACTOR, "a-sid"]


def test_a_minute_has_a_hundred_events_and_then_another_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr(sockets.time, "monotonic", lambda: moment[0])
    for _ in range(EVENTS_PER_MINUTE):
        sockets.spend()
    moment[0] += 59.9
    with pytest.raises(TooManyEvents):
        sockets.spend()
    moment[0] += 0.2
    for _ in range(EVENTS_PER_MINUTE):
        sockets.spend()
    with pytest.raises(TooManyEvents):
        sockets.spend()
