"""The cache's rules, one by one; that they suffice together is what test_cache_property.py shows."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from devicehub.core import cache, redis
from devicehub.core.cache import LARGEST_VALUE, Cache, Cached
from tests.conftest import Servers, wait_until

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def ours(app: Flask) -> Cache:
    return cache.current()


@pytest.fixture
def others(app: Flask) -> Cache:
    """The cache of another process on the same Redis."""
    other = Cache(redis.Redis(redis.current().url, timeout=1), ours_store())
    other.settle()
    return other


def ours_store() -> Any:
    return cache.current()._store


def fetch(of: Cache, value: bytes = b"new", key: str = "k", compute: Callable[[], bytes] | None = None) -> Cached:
    return of.fetch("scope", "noun", key, ttl=60, compute=compute or (lambda: value))


def test_a_value_is_computed_once_and_then_found_by_every_process(ours: Cache, others: Cache) -> None:
    assert fetch(ours, b"old").status == "MISS"
    assert fetch(ours) == Cached(b"old", "HIT")
    assert fetch(others) == Cached(b"old", "HIT")


def test_keys_nouns_and_scopes_are_apart(ours: Cache) -> None:
    fetch(ours, b"one", key="a")
    assert fetch(ours, b"two", key="b").payload == b"two"
    assert ours.fetch("scope", "other", "a", ttl=60, compute=lambda: b"three").payload == b"three"
    assert ours.fetch("another", "noun", "a", ttl=60, compute=lambda: b"four").payload == b"four"


def test_a_write_outdates_what_was_stored_before_it(ours: Cache, others: Cache) -> None:
    fetch(ours, b"old")
    with others.writing("scope", "noun"):
        pass
    assert fetch(ours) == Cached(b"new", "MISS")


def test_what_is_read_during_a_write_is_not_kept(ours: Cache, others: Cache) -> None:
    with ours.writing("scope", "noun"):
        assert fetch(others, b"old").status == "MISS"
        assert fetch(others, b"still old").status == "MISS"
    assert fetch(others) == Cached(b"new", "MISS")


def test_what_was_read_before_a_write_and_stored_after_it_is_not_current(ours: Cache, others: Cache) -> None:
    def read_slowly() -> bytes:
        with others.writing("scope", "noun"):
            pass
        return b"old"

    fetch(ours, compute=read_slowly)
    assert fetch(ours) == Cached(b"new", "MISS")


def test_a_writer_that_died_is_waited_for_as_long_as_its_write_could_take(ours: Cache, others: Cache) -> None:
    fetch(ours, b"old")
    dying = others.writing("scope", "noun")
    dying.__enter__()
    assert fetch(ours, b"newer").payload == b"newer"
    assert fetch(ours).status == "MISS"
    life = redis.current().client.pttl("writing:scope:noun")
    assert 0 < life <= cache.MARK_LIFE_MS


def test_two_writers_are_both_waited_for(ours: Cache, others: Cache) -> None:
    one, two = ours.writing("scope", "noun"), others.writing("scope", "noun")
    one.__enter__()
    two.__enter__()
    one.__exit__(None, None, None)
    fetch(ours, b"between")
    assert fetch(ours, b"later").payload == b"later"
    two.__exit__(None, None, None)
    fetch(ours, b"kept")
    assert fetch(ours) == Cached(b"kept", "HIT")


def test_a_write_that_fails_outdates_too(ours: Cache) -> None:
    fetch(ours, b"old")
    with pytest.raises(ValueError, match="no"), ours.writing("scope", "noun"):
        raise ValueError("no")
    assert fetch(ours).status == "MISS"


def test_going_past_the_cache_neither_reads_nor_stores(ours: Cache) -> None:
    def past(value: bytes) -> Cached:
        return ours.fetch("scope", "noun", "k", ttl=60, compute=lambda: value, bypass=True)

    assert past(b"first") == Cached(b"first", "BYPASS")
    assert fetch(ours, b"second") == Cached(b"second", "MISS")
    assert past(b"third") == Cached(b"third", "BYPASS")
    assert fetch(ours) == Cached(b"second", "HIT")


def test_a_failure_is_not_kept(ours: Cache) -> None:
    def fail() -> bytes:
        raise LookupError("nothing there")

    with pytest.raises(LookupError):
        fetch(ours, compute=fail)
    assert fetch(ours) == Cached(b"new", "MISS")


def test_a_value_that_is_too_large_is_not_kept(ours: Cache) -> None:
    assert fetch(ours, b"x" * (LARGEST_VALUE + 1)).status == "MISS"
    assert fetch(ours).status == "MISS"


def test_nothing_is_kept_when_redis_is_nearly_full(ours: Cache) -> None:
    client = redis.current().client
    before = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.8))
    try:
        ours._room_until = 0
        fetch(ours, b"old")
        assert fetch(ours) == Cached(b"new", "MISS")
    finally:
        client.config_set("maxmemory", before)
        ours._room_until = 0


def test_concurrent_misses_compute_once(ours: Cache) -> None:
    computing, go_on, calls = threading.Event(), threading.Event(), []

    def compute() -> bytes:
        calls.append(1)
        computing.set()
        go_on.wait(5)
        return b"value"

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(fetch, ours, compute=compute)
        computing.wait(5)
        rest = [pool.submit(fetch, ours, compute=compute) for _ in range(7)]
        [flight] = ours._flights.values()
        wait_until(lambda: len(flight._condition._waiters) == 7, what="all to join the flight")
        go_on.set()
        assert {one.result().payload for one in (first, *rest)} == {b"value"}
    assert len(calls) == 1


def test_who_comes_after_a_write_does_not_join_a_look_from_before_it(ours: Cache, others: Cache) -> None:
    computing, go_on = threading.Event(), threading.Event()

    def compute() -> bytes:
        computing.set()
        go_on.wait(5)
        return b"old"

    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(fetch, ours, compute=compute)
        computing.wait(5)
        with others.writing("scope", "noun"):
            pass
        assert fetch(ours).payload == b"new"
        go_on.set()
        assert before.result().payload == b"old"
    assert fetch(ours).payload == b"new"


def test_an_emptied_redis_brings_nothing_back(ours: Cache) -> None:
    fetch(ours, b"old")
    client = redis.current().client
    kept = client.get("cache:scope:noun:k")
    client.flushall()
    fetch(ours, b"newer")
    client.set("cache:scope:noun:k", kept)  # as if it had come back from anywhere
    assert fetch(ours).payload == b"new"


def test_a_restarted_redis_is_not_believed_about_the_past(ours: Cache, servers: Servers) -> None:
    fetch(ours, b"old")
    servers.redis.kill()
    servers.restart_redis()
    wait_until(redis.current().is_alive)
    assert fetch(ours) == Cached(b"new", "MISS")


def test_without_redis_everything_is_computed(ours: Cache, servers: Servers) -> None:
    servers.redis.stop()
    try:
        assert fetch(ours, b"one") == Cached(b"one", "BYPASS")
        with ours.writing("scope", "noun"):
            pass
        assert fetch(ours, b"two") == Cached(b"two", "BYPASS")
    finally:
        servers.restart_redis()
    wait_until(lambda: fetch(ours, b"three").status == "MISS")


def test_a_process_that_starts_outdates_what_one_that_died_may_have_left(ours: Cache, others: Cache) -> None:
    fetch(others, b"old")
    newcomer = Cache(redis.Redis(redis.current().url, timeout=1), ours_store())
    assert fetch(newcomer) == Cached(b"new", "MISS")


def test_a_process_that_lost_a_call_outdates_everything_before_it_reads(ours: Cache, others: Cache) -> None:
    """A write whose marks were lost, while Redis lived on for the others."""
    fetch(others, b"old")
    redis.current().failures += 1  # what a time-out of this process's own call leaves behind
    assert fetch(ours) == Cached(b"new", "MISS")
    assert fetch(others) == Cached(b"new", "HIT")


def test_who_ask_past_the_cache_while_it_is_computed_share_the_next_computation(ours: Cache) -> None:
    may_end, computed = threading.Event(), list[int]()

    def compute() -> bytes:
        computed.append(len(computed))
        may_end.wait(10)
        return b"%d" % computed[-1]

    def ask() -> Cached:
        return ours.fetch("org", "things", "one", ttl=60, compute=compute, bypass=True)

    with ThreadPoolExecutor(20) as pool:
        first = pool.submit(ask)
        wait_until(lambda: computed == [0])
        others = [pool.submit(ask) for _ in range(10)]
        wait_until(lambda: "org:things:one" in ours._next)
        may_end.set()
        assert first.result(10) == Cached(b"0", "BYPASS")
        assert {other.result(10).payload for other in others} <= {b"1", b"2"}
    assert len(computed) <= 3
    assert (ours._next, ours._under_way) == ({}, {})
