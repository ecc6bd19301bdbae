from collections.abc import Iterator

import pytest

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.realtime.log import Entry, EventLog
from tests.conftest import LiveServer, Servers, start_server, wait_until
from tests.factories import make_account
from tests.nursery import Nursery
from tests.realtime.clients import socket_of

# An organization that exists in the event log only.
ORGANIZATION = "65f000000000000000000001"


def hears_again(server: LiveServer) -> bool:
    """Whether a process follows the event log."""
    with socket_of(server.url, make_account()) as socket:
        return socket.named("connected")[0]["lastEventId"] is not None


@pytest.fixture(scope="session")
def seen_to_hear() -> dict[str, int]:
    """How often Redis had been lost when a process, by its address, was last seen to follow the event log."""
    return {}


@pytest.fixture(autouse=True)
def _heard(request: pytest.FixtureRequest, app: object, servers: Servers, seen_to_hear: dict[str, int]) -> None:
    """Let the shared processes get over what another test did to Redis."""
    shared = {"live_server", "pair"} & set(request.fixturenames)
    if not shared:
        return
    wait_until(redis.current().is_alive)
    processes = request.getfixturevalue(min(shared, key=len))
    for process in processes if isinstance(processes, tuple) else (processes,):
        if seen_to_hear.get(process.url) != servers.losses:
            wait_until(lambda process=process: hears_again(process), 20, "the event log")
            seen_to_hear[process.url] = servers.losses


@pytest.fixture(scope="session")
def pair(
    live_server: LiveServer, settings: Settings, server_nursery: Nursery
) -> Iterator[tuple[LiveServer, LiveServer]]:
    """Two api processes on the same databases; the second for all who are in the group "pair", and only for them."""
    second = start_server(settings, {}, server_nursery.bear)
    yield live_server, second
    second.stop()


@pytest.fixture
def log(app: object) -> EventLog:
    return EventLog(redis.current(), window=50)


def numbered(number: int, audience: str = "org") -> Entry:
    return Entry("device-update", audience, b'{"number":%d}' % number)
