"""Answers that are remembered for a moment, and the words over them."""

from collections.abc import Sequence

import pytest

from devicehub.core import redis, remembered
from tests.conftest import Servers

pytestmark = pytest.mark.usefixtures("app")


def kept(key: str) -> tuple[bytes | None, int]:
    """What lies under a key, and for how many seconds more."""
    client = redis.current().client
    return client.get(key), client.ttl(key)


def test_an_answer_is_remembered_for_half_a_minute_and_a_newer_one_replaces_it() -> None:
    remembered.keep_all({"user:1": b"old"})
    remembered.keep_all({"user:1": b"new"})
    answer, seconds = kept("user:1")
    assert answer == b"new" and 0 < seconds <= remembered.ANSWER_S


@pytest.mark.parametrize("word", [remembered.ENDED, remembered.CHANGED])
def test_a_look_up_that_raced_a_change_does_not_revive_what_it_saw(word: bytes) -> None:
    remembered.keep_all({"user:1": b"before"})
    remembered.overwrite(["user:1", "user:2"], word)
    for key in ("user:1", "user:2"):
        remembered.keep_all({key: b"before"})
        found, seconds = kept(key)
        assert found == word and remembered.ANSWER_S < seconds <= remembered.WORD_S


def test_of_many_apart_only_those_not_remembered_are_read_and_in_one_question() -> None:
    asked: list[list[str]] = []

    def read(keys: Sequence[str]) -> list[dict[str, str] | None]:
        asked.append(list(keys))
        return [None if key == "key:nobody" else {"name": key} for key in keys]

    remembered.overwrite(["key:ended"], remembered.ENDED)
    assert remembered.look_up_apart(["key:1"], read) == [{"name": "key:1"}]
    found = remembered.look_up_apart(["key:2", "key:nobody", "key:1", "key:ended", "key:2"], read)
    assert found == [{"name": "key:2"}, None, {"name": "key:1"}, None, {"name": "key:2"}]
    assert asked == [["key:1"], ["key:2", "key:nobody"]]


@pytest.mark.xdist_group("outage")
def test_without_redis_both_are_quiet_and_counted_as_lost(servers: Servers) -> None:
    lost = redis.current().failures
    servers.redis.stop()
    try:
        remembered.keep_all({"user:1": b"answer"})
        remembered.overwrite(["user:1"], remembered.CHANGED)
    finally:
        servers.restart_redis()
    assert redis.current().failures == lost + 2
