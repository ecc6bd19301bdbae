from collections.abc import Callable

import pytest

from devicehub.core import redis
from devicehub.realtime.log import Entry, EventLog
from tests.conftest import LiveServer

# An organization that exists in the event log only.
ORGANIZATION = "65f000000000000000000001"


@pytest.fixture(scope="session")
def pair(live_server: LiveServer, serve: Callable[..., LiveServer]) -> tuple[LiveServer, LiveServer]:
    """Two api processes on the same databases."""
    return live_server, serve()


@pytest.fixture
def log(app: object) -> EventLog:
    return EventLog(redis.current(), window=50)


def numbered(number: int, audience: str = "org") -> Entry:
    return Entry("device-update", audience, b'{"number":%d}' % number)
