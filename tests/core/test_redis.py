"""Redis: answers or is away, soon, and is back by itself."""

from collections.abc import Iterator

import pytest
from redis.exceptions import ResponseError

from devicehub.core.redis import Ask, Redis, RedisAway
from tests.conftest import Servers, wait_until


@pytest.fixture
def own(servers: Servers) -> Iterator[Redis]:
    """A way to Redis of the test's own, which rests shortly."""
    made = Redis(servers.redis.url, timeout=0.25, rest=0.05)
    yield made
    made.close()


def test_a_call_gives_what_redis_answers(own: Redis) -> None:
    assert own.call(lambda client: client.ping()) is True
    assert len(own.incarnation) == 40
    assert own.failures == 0


def test_a_script_is_called_with_keys_and_arguments(own: Redis) -> None:
    assert own.script("return {KEYS[1], ARGV[1]}")(["key"], ["value"]) == [b"key", b"value"]


def test_several_scripts_answer_in_one_round_trip_and_in_order(own: Redis) -> None:
    own.client.script_flush()  # so that the first round has to bring them
    push, count = own.script("return redis.call('RPUSH', KEYS[1], ARGV[1])"), own.script("return 'seen'")
    for _ in range(2):
        own.client.delete("together")
        asks = [Ask(push, ["together"], ["a"]), Ask(count, [], []), Ask(push, ["together"], ["b"])]
        assert own.together(asks) == [1, b"seen", 2]
        assert own.client.lrange("together", 0, -1) == [b"a", b"b"]
    assert own.together([]) == []


def test_one_of_several_scripts_that_fails_is_told(own: Redis) -> None:
    wrong = own.script("return redis.call('NONSENSE')")
    for _ in range(2):
        with pytest.raises(ResponseError, match=r"[Uu]nknown"):
            own.together([Ask(own.script("return 1"), [], []), Ask(wrong, [], [])])


def test_an_answer_that_says_no_is_not_an_outage(own: Redis) -> None:
    with pytest.raises(ResponseError):
        own.call(lambda client: client.execute_command("NONSENSE"))
    assert own.failures == 0 and not own.breaker.is_open


def test_an_answer_that_says_no_ends_an_outage_like_any_other(own: Redis) -> None:
    own.breaker.rest = 0
    own.breaker.failed()
    with pytest.raises(ResponseError):
        own.call(lambda client: client.execute_command("NONSENSE"))
    assert not own.breaker.is_open


def test_a_full_redis_is_away_until_it_has_room(own: Redis) -> None:
    before = own.client.config_get("maxmemory")["maxmemory"]
    own.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(RedisAway):
            own.call(lambda client: client.set("key", "value"))
        assert own.failures == 1
    finally:
        own.client.config_set("maxmemory", before)
    wait_until(own.is_alive)


def test_a_failure_that_loses_nothing_is_not_counted(own: Redis, servers: Servers) -> None:
    servers.redis.stop()
    try:
        for _ in range(2):  # it fails, and is left alone
            with pytest.raises(RedisAway):
                own.call(lambda client: client.ping(), loses=False)
            with pytest.raises(RedisAway):
                own.script("return 1", loses=False)([], [])
        assert own.failures == 0
    finally:
        servers.restart_redis()


def test_a_stopped_redis_is_away_and_back_as_another_one(own: Redis, servers: Servers) -> None:
    own.call(lambda client: client.ping())
    before = own.incarnation
    servers.redis.stop()
    try:
        with pytest.raises(RedisAway):
            own.call(lambda client: client.ping())
        assert not own.is_alive()
        assert own.failures >= 1
    finally:
        servers.restart_redis()
    wait_until(own.is_alive)
    assert own.incarnation != before


def test_a_hung_redis_is_given_up_on_and_then_left_alone(servers: Servers) -> None:
    resting = Redis(servers.redis.url, timeout=0.25, rest=60)
    resting.call(lambda client: client.ping())
    with servers.hung_redis():
        with pytest.raises(RedisAway, match="TimeoutError"):
            resting.call(lambda client: client.ping())
        with pytest.raises(RedisAway, match="left alone"):
            resting.call(lambda client: client.ping())
    resting.close()
