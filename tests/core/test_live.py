"""Live values: never older than MongoDB's, whoever died where."""

from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask

from devicehub.core import cache, live, redis
from devicehub.core.live import Live, Value
from tests.conftest import Servers, wait_until

SCOPE = "65f0a1b2c3d4e5f6a7b8c9d0"


class Truth:
    """MongoDB's part in this."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {"a": (1, b"a1"), "b": (1, b"b1")}
        self.asked: list[list[str]] = []

    def load(self, ids: list[str]) -> Mapping[str, Value]:
        self.asked.append(ids)
        return {one: self.values[one] for one in ids if one in self.values}


@pytest.fixture
def ours(app: Flask) -> Live:
    return live.current()


@pytest.fixture
def truth() -> Truth:
    return Truth()


def read(ours: Live, truth: Truth, *ids: str, **options: Any) -> Any:
    return ours.read(SCOPE, list(ids), truth.load, **options)


def test_what_is_missing_is_asked_for_once(ours: Live, truth: Truth) -> None:
    for _ in range(2):
        assert read(ours, truth, "a", "b") == {"a": b"a1", "b": b"b1"}
    assert truth.asked == [["a", "b"]]


def test_what_does_not_exist_is_left_out(ours: Live, truth: Truth) -> None:
    assert read(ours, truth, "a", "gone") == {"a": b"a1"}


def test_a_write_replaces_the_value(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a", "b")
    ours.begin({SCOPE: ["a"]})
    ours.finish({SCOPE: {"a": (2, b"a2")}})
    assert read(ours, truth, "a", "b") == {"a": b"a2", "b": b"b1"}
    assert truth.asked == [["a", "b"]]


def test_an_older_value_never_replaces_a_newer_one(ours: Live, truth: Truth) -> None:
    for sequence in (9, 10, 8):
        ours.begin({SCOPE: ["a"]})
        ours.finish({SCOPE: {"a": (sequence, b"a%d" % sequence)}})
    assert read(ours, truth, "a") == {"a": b"a10"}


def test_while_it_is_written_the_truth_is_asked_and_not_kept(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    ours.begin({SCOPE: ["a"]})
    for sequence in (2, 3):
        truth.values["a"] = (sequence, b"a%d" % sequence)
        assert read(ours, truth, "a") == {"a": b"a%d" % sequence}


def test_one_of_two_writers_finishing_does_not_hide_the_other(ours: Live, truth: Truth) -> None:
    ours.begin({SCOPE: ["a"]})
    ours.begin({SCOPE: ["a"]})
    ours.finish({SCOPE: {"a": (2, b"a2")}})
    truth.values["a"] = (3, b"a3")  # the other wrote, and died
    assert read(ours, truth, "a") == {"a": b"a3"}


def test_a_write_that_came_to_nothing_leaves_what_was_known(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    ours.begin({SCOPE: ["a"]})
    ours.finish({SCOPE: {"a": None}})
    assert read(ours, truth, "a") == {"a": b"a1"}
    assert truth.asked == [["a"]]


def test_what_is_forgotten_leaves_nothing_behind(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    ours.begin({SCOPE: ["a"]})
    ours.forget(SCOPE, "a")
    assert redis.current().client.hkeys(f"live:{SCOPE}") == [b"epoch"]


def test_of_a_scope_that_is_forgotten_nothing_is_left(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    ours.forget_all(SCOPE)
    assert redis.current().client.keys("live:*") == []


def test_a_mark_lapses_and_the_truth_is_learnt_again(ours: Live, truth: Truth, monkeypatch: Any) -> None:
    read(ours, truth, "a")
    monkeypatch.setattr(live, "MARK_LIFE_MS", 1)
    ours.begin({SCOPE: ["a"]})
    truth.values["a"] = (2, b"a2")
    wait_until(lambda: read(ours, truth, "a") == {"a": b"a2"} and not _is_marked("a"))
    asked = len(truth.asked)
    assert read(ours, truth, "a") == {"a": b"a2"}
    assert len(truth.asked) == asked


def _is_marked(one: str) -> bool:
    return bool(redis.current().client.hexists(f"live:{SCOPE}", f"w{one}"))


def test_a_look_from_before_a_write_does_not_overwrite_it(ours: Live, truth: Truth) -> None:
    def load_slowly(ids: list[str]) -> Mapping[str, Value]:
        before = truth.load(ids)
        ours.begin({SCOPE: ["a"]})
        ours.finish({SCOPE: {"a": (2, b"a2")}})
        return before

    ours.read(SCOPE, ["a"], load_slowly)
    assert read(ours, truth, "a") == {"a": b"a2"}


def test_going_past_it_asks_the_truth(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    truth.values["a"] = (2, b"a2")
    assert read(ours, truth, "a", fresh=True) == {"a": b"a2"}


def test_an_emptied_redis_is_filled_from_the_truth(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    redis.current().client.flushall()
    assert read(ours, truth, "a") == {"a": b"a1"}
    assert len(truth.asked) == 2


def test_after_a_lost_call_the_truth_is_asked(ours: Live, truth: Truth) -> None:
    read(ours, truth, "a")
    truth.values["a"] = (2, b"a2")
    redis.current().failures += 1
    assert read(ours, truth, "a") == {"a": b"a2"}
    assert cache.current()._settled == redis.current().failures


def test_without_redis_the_truth_is_asked(ours: Live, truth: Truth, servers: Servers) -> None:
    read(ours, truth, "a")
    servers.redis.stop()
    try:
        ours.begin({SCOPE: ["a"]})
        truth.values["a"] = (2, b"a2")
        ours.finish({SCOPE: {"a": (2, b"a2")}})
        assert read(ours, truth, "a") == {"a": b"a2"}
    finally:
        servers.restart_redis()
    wait_until(redis.current().is_alive)
    assert read(ours, truth, "a") == {"a": b"a2"}
