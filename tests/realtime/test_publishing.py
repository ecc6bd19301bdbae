"""What is told by a process that may have no listeners of its own, as a worker has none."""

from typing import Any

import orjson
import pytest

from devicehub.core.actor import Actor
from devicehub.core.events import Event
from devicehub.core.redis import Redis
from devicehub.realtime import hints, publishing
from devicehub.realtime.log import Entry
from devicehub.realtime.publishing import Publisher
from tests.realtime.conftest import ORGANIZATION

NOBODY = Actor(user_id="", organization_id=ORGANIZATION, role="viewer", kind="system")
TOLD = {"job_id": "a-job", "status": "processing", "progress": None, "user_id": "somebody"}


class Listening:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def tell(self, organization_id: str, entry: Entry) -> None:
        self.heard.append((organization_id, entry.event))

    def call(self, message: bytes) -> None:
        self.heard.append(orjson.loads(message))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Publisher:
    """The process's publisher, whose Redis is away."""
    publisher = Publisher(Redis("redis://127.0.0.1:1/0", timeout=0.2), window=50)
    monkeypatch.setattr(publishing, "_current", publisher)
    return publisher


def tell_both() -> None:
    publishing.relay(Event("job.progressed", NOBODY, TOLD))
    hints.relay(Event("api_key.revoked", NOBODY, {"key_id": "k"}))


def test_without_redis_a_process_tells_its_own(away: Publisher) -> None:
    away.listeners = listening = Listening()
    tell_both()
    hint = {"event": "api_key.revoked", "facts": {"key_id": "k"}}
    assert listening.heard == [(ORGANIZATION, "job-progress"), hint]


def test_without_redis_and_listeners_nobody_is_told_and_nothing_fails(away: Publisher) -> None:
    tell_both()
    with publishing.together():
        tell_both()
    assert away.listeners is None
