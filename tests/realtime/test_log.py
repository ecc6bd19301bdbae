"""The event log on a real Redis: order, ids, window, epochs."""

from typing import Any

import pytest
from redis import Redis as Client

from devicehub.core import redis
from devicehub.core.redis import RedisAway
from devicehub.realtime.log import CHUNK, EPOCH, LIFE_S, Entry, EventLog, News, NotKept, covers, epoch_of, is_id
from tests.conftest import Servers, wait_until
from tests.realtime.conftest import ORGANIZATION, numbered

KEY = f"events:{ORGANIZATION}"


@pytest.fixture
def client(app: object) -> Client:
    return redis.current().client


def test_an_entry_is_read_back_as_it_was_published(log: EventLog) -> None:
    seen = log.head(ORGANIZATION)
    published = Entry("device-update", "user:1", b'{"text":"with spaces\\nand lines"}')
    entry_id = log.publish(ORGANIZATION, published)
    [entry] = log.since(ORGANIZATION, seen)
    assert entry.id == entry_id
    assert epoch_of(entry_id) == epoch_of(seen)
    assert (entry.event, entry.audience, entry.payload) == (
        published.event,
        published.audience,
        published.payload,
    )


def test_a_subscriber_hears_what_the_stream_holds(log: EventLog, client: Client) -> None:
    seen = log.head(ORGANIZATION)
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(log.channel(ORGANIZATION))
        listener.get_message(timeout=1)
        for number in range(5):
            log.publish(ORGANIZATION, numbered(number))
        heard = [_next_message(listener) for _ in range(5)]
    assert [entry for message in heard for entry in Entry.all_from_message(message["data"])] == log.since(
        ORGANIZATION, seen
    )


def test_what_is_told_at_one_moment_is_published_as_one_message(log: EventLog, client: Client) -> None:
    seen = log.head(ORGANIZATION)
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(log.channel(ORGANIZATION))
        listener.get_message(timeout=1)
        log.publish_all([News(ORGANIZATION, numbered(number)) for number in range(5)])
        message = _next_message(listener)
    entries = Entry.all_from_message(message["data"])
    assert entries == log.since(ORGANIZATION, seen) and len(entries) == 5


def test_entries_of_several_organizations_keep_their_places(log: EventLog) -> None:
    other = "65f0a1b2c3d4e5f6a7b8c9ff"
    heads = {one: log.head(one) for one in (ORGANIZATION, other)}
    order = [ORGANIZATION, other, other, ORGANIZATION]
    made = log.publish_all([News(one, numbered(number)) for number, one in enumerate(order)])
    for one, head in heads.items():
        assert [entry.id for entry in log.since(one, head)] == [
            entry_id for entry_id, whose in zip(made, order, strict=True) if whose == one
        ]


def test_what_is_numbered_is_told_once_and_nothing_from_before_it_any_more(log: EventLog) -> None:
    seen = log.head(ORGANIZATION)
    asked = [("told:a", 1), ("told:a", 1), ("told:b", 1), ("told:a", 3), ("told:a", 2), None]
    news = [News(ORGANIZATION, numbered(number), once) for number, once in enumerate(asked)]
    made = log.publish_all(news)
    assert [entry_id is not None for entry_id in made] == [True, False, True, True, False, True]
    kept = log.since(ORGANIZATION, seen)
    assert [entry.id for entry in kept] == [entry_id for entry_id in made if entry_id]
    assert [entry.payload for entry in kept] == [numbered(number).payload for number in (0, 2, 3, 5)]


def _next_message(listener: Any) -> Any:
    return wait_until(lambda: listener.get_message(timeout=1), what="a published message")


def test_a_new_stream_begins_with_a_marker_so_that_its_head_is_an_entry_of_it(
    log: EventLog, client: Client
) -> None:
    head = log.head(ORGANIZATION)
    [(entry_id, fields)] = client.xrange(KEY)
    assert (entry_id.decode(), fields) == (head, {b"begun": b""})
    assert log.head(ORGANIZATION) == head


def test_the_window_bounds_the_stream(log: EventLog, client: Client) -> None:
    last = [log.publish(ORGANIZATION, numbered(number)) for number in range(60)][-1]
    assert client.xlen(KEY) == 50
    assert log.head(ORGANIZATION) == last


def test_every_entry_gives_the_stream_another_hour(log: EventLog, client: Client) -> None:
    log.head(ORGANIZATION)
    assert 0 < client.ttl(KEY) <= LIFE_S
    client.expire(KEY, 5)
    log.publish(ORGANIZATION, numbered(1))
    assert client.ttl(KEY) > LIFE_S - 60


def test_a_stream_that_was_lost_begins_again_under_another_epoch(log: EventLog, client: Client) -> None:
    before = log.head(ORGANIZATION)
    client.flushall()
    entry_id = log.publish(ORGANIZATION, numbered(7))
    marker, entry = log.since(ORGANIZATION, before)
    assert marker.event == "" and epoch_of(marker.id) == epoch_of(entry.id) != epoch_of(before)
    assert entry.id == entry_id


def test_a_long_absence_is_read_in_chunks(app: object) -> None:
    log = EventLog(redis.current(), window=10_000)
    seen = log.head(ORGANIZATION)
    published = [log.publish(ORGANIZATION, numbered(number)) for number in range(CHUNK + 3)]
    first = log.since(ORGANIZATION, seen)
    rest = log.since(ORGANIZATION, first[-1].id)
    assert [entry.id for entry in first + rest] == published
    assert (len(first), len(rest)) == (CHUNK, 3)


def test_an_id_covers_what_came_before_it_in_its_own_stream_only() -> None:
    assert covers(f"10-{EPOCH + 9}", f"10-{EPOCH + 9}")
    assert covers(f"10-{EPOCH + 9}", f"9-{EPOCH + 100}")
    assert not covers(f"10-{EPOCH + 9}", f"10-{EPOCH + 10}")
    assert not covers(f"10-{EPOCH + 9}", f"1-{2 * EPOCH}")


def test_ids_grow_even_where_the_clock_falls_back_and_a_millisecond_is_full(log: EventLog, client: Client) -> None:
    far = 9_999_999_999_999
    epoch = (1 << 32) - 1
    client.xadd(KEY, {"begun": ""}, id=f"{far}-{epoch * EPOCH + EPOCH - 2}")
    assert log.publish(ORGANIZATION, numbered(1)) == f"{far}-{epoch * EPOCH + EPOCH - 1}"
    assert log.publish(ORGANIZATION, numbered(2)) == f"{far + 1}-{epoch * EPOCH}"


def test_what_followed_an_id_is_told_only_while_the_stream_holds_the_id(log: EventLog, client: Client) -> None:
    ids = [log.publish(ORGANIZATION, numbered(number)) for number in range(60)]
    assert [entry.id for entry in log.between(ORGANIZATION, ids[-3], ids[-2])] == [ids[-2]]
    assert log.between(ORGANIZATION, ids[-1], ids[-1]) == []
    with pytest.raises(NotKept):
        log.between(ORGANIZATION, ids[0], ids[-1])
    client.flushall()
    log.publish(ORGANIZATION, numbered(0))
    with pytest.raises(NotKept):
        log.between(ORGANIZATION, ids[-1], ids[-1])


@pytest.mark.parametrize("text", ["", "1", "-", "1-", "1-2-3", "a-b", "1-2\n", "0x1-2", "1" * 16 + "-1"])
def test_what_is_no_id_is_known_by_its_form(text: str) -> None:
    assert is_id("1700000000000-281474976710655")
    assert not is_id(text)


def test_channels_of_two_databases_of_one_server_are_apart(servers: Servers) -> None:
    other = EventLog(redis.Redis(servers.redis.url.removesuffix("/0") + "/1", timeout=1), window=1)
    assert other.channel(ORGANIZATION) != EventLog(redis.current(), window=1).channel(ORGANIZATION)
    assert other.organization_of(other.channel(ORGANIZATION)) == ORGANIZATION


def test_without_redis_publishing_says_so() -> None:
    away = EventLog(redis.Redis("redis://127.0.0.1:1/0", timeout=0.2), window=1)
    with pytest.raises(RedisAway):
        away.publish(ORGANIZATION, numbered(1))
