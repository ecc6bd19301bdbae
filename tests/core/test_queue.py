"""The queue: whether somebody is there to take jobs, and what a worker makes of a Redis that goes or forgets."""

from collections.abc import Iterator
from typing import Any

import pytest
import rq
from flask import Flask
from redis import Redis as Client

from devicehub.core import queue
from devicehub.core.config import Settings
from devicehub.core.redis import RedisAway
from tests.conftest import Servers, wait_until


@pytest.fixture
def connection(app: Flask, settings: Settings) -> Iterator[Client]:
    with Client.from_url(settings.redis_address) as client:
        yield client


@pytest.fixture
def worker(connection: Client) -> queue.Worker:
    """A worker that has told of itself, as it does before it waits for a job."""
    made = queue.Worker(connection)
    made.register_birth()
    made.heartbeat()
    return made


def test_a_worker_is_known_until_it_leaves(worker: queue.Worker) -> None:
    assert queue.has_workers()
    worker.register_death()
    assert not queue.has_workers()


def test_one_that_was_killed_is_not_believed_to_live_for_long(worker: queue.Worker, connection: Client) -> None:
    assert 0 < connection.ttl(worker.key) <= queue.ALIVE_S
    connection.pexpire(worker.key, 1)  # its time passes
    wait_until(lambda: not queue.has_workers())
    assert rq.Worker.count(connection=connection) == 1  # as RQ counts, it would live for ever


def test_a_worker_is_known_again_to_a_redis_that_was_emptied(worker: queue.Worker, connection: Client) -> None:
    connection.flushall()
    assert not queue.has_workers()
    worker.heartbeat()
    assert queue.has_workers()


def test_a_worker_beats_often_enough_to_be_believed_to_live(worker: queue.Worker) -> None:
    assert 2 * worker.dequeue_timeout < queue.ALIVE_S
    assert 2 * worker.job_monitoring_interval < queue.ALIVE_S


def test_a_worker_does_not_give_its_job_up_when_redis_goes(
    worker: queue.Worker, connection: Client, servers: Servers
) -> None:
    entry: Any = queue.queue(connection).enqueue(queue.ENTRY, "1")
    worker.prepare_execution(entry)
    servers.redis.stop()
    try:
        worker.maintain_heartbeats(entry)
        worker.set_current_job_working_time(3)
    finally:
        servers.restart_redis()
    assert worker.current_job_working_time == 3


def test_what_is_put_there_says_nothing_but_which_job_it_is(connection: Client, app: Flask) -> None:
    queue.put("1")
    (entry,) = queue.queue(connection).jobs
    assert (entry.id, entry.func_name, entry.args, entry.timeout) == ("1", queue.ENTRY, ["1"], -1)


def test_nobody_waits_for_a_redis_that_hangs(app: Flask, servers: Servers) -> None:
    queue.put("1")
    with servers.hung_redis(), pytest.raises(RedisAway):
        queue.put("2")
