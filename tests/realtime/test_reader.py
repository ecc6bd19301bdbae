"""The reader: every entry once, in the order of the log, whatever happens to Redis in between."""

import threading
from collections.abc import Iterator

import orjson
import pytest

from devicehub.core import redis
from devicehub.core.redis import RedisAway
from devicehub.realtime.line import Heard, Line
from devicehub.realtime.log import Entry, EventLog
from devicehub.realtime.reader import Reader
from tests.conftest import Servers, wait_until
from tests.realtime.conftest import ORGANIZATION, numbered


class Ear:
    """A reader and what it handed over."""

    def __init__(self, log: EventLog, url: str) -> None:
        self.entries: list[Entry] = []
        self.reader = Reader(Line(url), log, lambda _, entry: self.entries.append(entry))

    @property
    def numbers(self) -> list[int]:
        return [orjson.loads(entry.payload)["number"] for entry in list(self.entries)]

    def follow(self, listener: str = "somebody") -> str | None:
        """Listen as a client does: from the head on, at one moment."""
        self.reader.follow(ORGANIZATION, listener)
        self.reader.settle(ORGANIZATION)
        with self.reader.lock:
            self.entries.clear()
            return self.reader.head(ORGANIZATION)

    def wait_for(self, number: int) -> None:
        wait_until(lambda: number in self.numbers, 20, f"number {number}")


@pytest.fixture
def ear(log: EventLog, servers: Servers) -> Iterator[Ear]:
    made = Ear(log, servers.redis.url)
    yield made
    made.reader.stop()


def publish_when_back(log: EventLog, number: int) -> None:
    def published() -> bool:
        try:
            log.publish(ORGANIZATION, numbered(number))
        except RedisAway:
            return False
        return True

    wait_until(published, 20, "Redis to take an entry")


def test_a_feed_settles_at_the_head_and_hands_over_what_follows(ear: Ear, log: EventLog) -> None:
    before = log.publish(ORGANIZATION, numbered(1))
    assert ear.follow() == before
    ids = [log.publish(ORGANIZATION, numbered(number)) for number in (2, 3)]
    ear.wait_for(3)
    assert [entry.id for entry in ear.entries] == ids
    assert ear.reader.head(ORGANIZATION) == ids[-1]


def test_nothing_is_lost_between_settling_and_the_first_message(log: EventLog, servers: Servers) -> None:
    """Twenty readers come while somebody publishes without a pause; each hears all that follows its head."""
    log = EventLog(redis.current(), window=100_000)
    seen = log.head(ORGANIZATION)
    enough = threading.Event()

    def publish() -> None:
        number = 0
        while not enough.is_set():
            log.publish(ORGANIZATION, numbered(number := number + 1))

    publisher = threading.Thread(target=publish)
    publisher.start()
    ears = [Ear(log, servers.redis.url) for _ in range(20)]
    heads = [ear.follow() for ear in ears]
    enough.set()
    publisher.join()
    log.publish(ORGANIZATION, numbered(-1))
    everything: list[str] = []
    while chunk := log.since(ORGANIZATION, seen):
        everything += [entry.id for entry in chunk]
        seen = chunk[-1].id
    for ear in ears:
        ear.wait_for(-1)
        ear.reader.stop()
    for ear, head in zip(ears, heads, strict=True):
        assert head is not None
        after = everything.index(head) + 1 if head in everything else 0
        assert [entry.id for entry in ear.entries] == everything[after:]
    assert len(set(heads)) > 1


def test_a_feed_without_listeners_is_given_up(ear: Ear, log: EventLog) -> None:
    ear.follow("one")
    ear.follow("other")
    ear.reader.unfollow(ORGANIZATION, "one")
    log.publish(ORGANIZATION, numbered(1))
    ear.wait_for(1)
    ear.reader.unfollow(ORGANIZATION, "other")
    ear.reader.unfollow(ORGANIZATION, "other")
    assert ear.reader.head(ORGANIZATION) is None
    channel = log.channel(ORGANIZATION)
    wait_until(lambda: redis.current().client.pubsub_numsub(channel)[0][1] == 0, what="the channel to be left")


def test_what_was_published_while_the_line_was_down_is_caught_up_in_order(
    ear: Ear, log: EventLog, servers: Servers
) -> None:
    ear.follow()
    log.publish(ORGANIZATION, numbered(1))
    ear.wait_for(1)
    servers.cut_lines()
    for number in range(2, 30):
        log.publish(ORGANIZATION, numbered(number))
    ear.wait_for(29)
    assert ear.numbers == list(range(1, 30))


def test_after_redis_was_stopped_and_started_it_is_heard_again(ear: Ear, log: EventLog, servers: Servers) -> None:
    ear.follow()
    log.publish(ORGANIZATION, numbered(1))
    ear.wait_for(1)
    servers.redis.stop()
    with pytest.raises(RedisAway):
        log.publish(ORGANIZATION, numbered(0))
    servers.restart_redis()
    publish_when_back(log, 2)
    ear.wait_for(2)
    assert ear.numbers == [1, 2]


@pytest.mark.parametrize("listening", [True, False], ids=["heard", "missed"])
@pytest.mark.parametrize("far_ahead", [False, True], ids=["ids grow", "ids fall back"])
def test_after_redis_was_emptied_the_new_stream_is_heard_from_its_beginning(
    ear: Ear, log: EventLog, servers: Servers, far_ahead: bool, listening: bool
) -> None:
    """Even where the old stream's ids were ahead of the clock: then comparing ids would drop every new one."""
    if far_ahead:
        log.head(ORGANIZATION)
        seq = log.head(ORGANIZATION).partition("-")[2]
        redis.current().client.xadd(f"events:{ORGANIZATION}", {"begun": ""}, id=f"9999999999999-{seq}")
    ear.follow()
    log.publish(ORGANIZATION, numbered(1))
    ear.wait_for(1)
    if not listening:
        servers.cut_lines()
    redis.current().client.flushall()
    log.publish(ORGANIZATION, numbered(2))
    log.publish(ORGANIZATION, numbered(3))
    ear.wait_for(3)
    assert ear.numbers == [1, 2, 3]
    old, new = (int(ear.entries[n].id.partition("-")[0]) for n in (0, 2))
    assert (new < old) is far_ahead


def test_a_newcomer_during_an_outage_is_not_kept_waiting_and_hears_again_later(
    log: EventLog, servers: Servers
) -> None:
    servers.redis.stop()
    ear = Ear(log, servers.redis.url)
    try:
        assert ear.follow() is None
        ear.reader.tell_here(ORGANIZATION, numbered(1))
        assert ear.numbers == [1]
    finally:
        servers.restart_redis()
    wait_until(lambda: ear.reader.head(ORGANIZATION), 20, "the feed to settle")
    log.publish(ORGANIZATION, numbered(2))
    ear.wait_for(2)
    assert ear.numbers == [1, 2]
    ear.reader.stop()


def test_a_redis_that_hangs_is_noticed_and_comes_back(servers: Servers) -> None:
    line = Line(servers.redis.url, "a-channel")
    heard: list[Heard] = []
    listener = threading.Thread(target=lambda: [heard.append(one) for one in line.listen()])
    listener.start()
    wait_until(lambda: Heard("subscribed", "a-channel") in heard, what="the subscription")
    with servers.hung_redis():
        wait_until(lambda: Heard("down") in heard, 20, "the loss to be noticed")
    wait_until(lambda: heard.count(Heard("subscribed", "a-channel")) == 2, 20, "the subscription")
    redis.current().breaker.succeeded()
    redis.current().client.publish("a-channel", "hello")
    wait_until(lambda: Heard("message", "a-channel", b"hello") in heard, what="a message")
    line.close()
    listener.join()


def test_a_failure_while_handing_over_does_not_end_the_reader(log: EventLog, servers: Servers) -> None:
    handed: list[int] = []

    def deliver(_: str, entry: Entry) -> None:
        number = orjson.loads(entry.payload)["number"]
        handed.append(number)
        if number == 1:
            raise ValueError("a receiver's own fault")

    reader = Reader(Line(servers.redis.url), log, deliver)
    reader.follow(ORGANIZATION, "somebody")
    reader.settle(ORGANIZATION)
    log.publish(ORGANIZATION, numbered(1))
    log.publish(ORGANIZATION, numbered(2))
    wait_until(lambda: 2 in handed, 20, "the next entry")
    assert handed == [1, 2]
    reader.stop()
