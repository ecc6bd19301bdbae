"""The census on a real Redis."""

from collections.abc import Iterator

import pytest

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.core.redis import Redis
from devicehub.realtime.census import Census

MINE = {"o": {"sockets": 2, "streams": 1}}


@pytest.fixture
def store(settings: Settings) -> Iterator[Redis]:
    """A database of its own: a server that another test has left running reports to the first."""
    own = redis.Redis(settings.redis_url.rpartition("/")[0] + "/7", timeout=2)
    own.client.flushdb()
    yield own
    own.client.close()


def test_the_reports_of_all_processes_are_added_up(store: Redis) -> None:
    one, other = Census(store, "one"), Census(store, "other")
    one.take(MINE)
    count = other.take({"o": {"sockets": 1, "streams": 0}, "p": {"sockets": 0, "streams": 4}})
    assert count.processes == 2
    assert count.organizations == {"o": {"sockets": 3, "streams": 1}, "p": {"sockets": 0, "streams": 4}}
    assert count.total == {"sockets": 3, "streams": 5}
    assert one.take({}).total == {"sockets": 1, "streams": 4}


def test_a_process_that_reports_no_more_is_forgotten(store: Redis) -> None:
    store.client.hset("census", "gone", '1|{"o":{"sockets":9,"streams":9}}')
    assert Census(store, "one").take(MINE).total == {"sockets": 2, "streams": 1}
    assert store.client.hkeys("census") == [b"one"]


def test_without_redis_a_process_knows_its_own() -> None:
    away = Census(redis.Redis("redis://127.0.0.1:1/0", timeout=0.2), "one")
    assert away.take(MINE).total == {"sockets": 2, "streams": 1}
