"""Exports by real workers that are killed, stopped, cut off and crowded: each file is whole, and there once."""

import gzip
import hashlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import clock as system_clock
from devicehub.core import mongo, redis
from devicehub.exports.building import file_id
from devicehub.exports.files import FILES
from devicehub.jobs.models import Job
from tests.conftest import wait_until
from tests.exports.conftest import AT, Ask, rows_of, wanted
from tests.factories import Account, make_account, make_device
from tests.jobs.holding import held, is_waited_for
from tests.jobs.inline import run_job
from tests.jobs.processes import Worker, start, sweeper

__all__ = ["start", "sweeper"]  # fixtures
pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.usefixtures("sweeper")]

MANY = 3_000


@pytest.fixture
def many(account: Account, device: Any) -> None:
    """So many logs of a device, a second apart, and none of them small.

    They are read in two batches. The first fills a chunk of the file, and the second another.
    """
    ours = {"organization_id": ObjectId(account.actor.organization_id), "device_id": ObjectId(device["id"])}
    begin, draw = system_clock.now().replace(microsecond=0) - timedelta(days=6), random.Random(MANY)
    rows = [
        {
            **ours,
            "event": "on",
            "level": "info",
            "message": f"message {n}",
            "metadata": {"noise": draw.randbytes(700).hex()},
            "at": begin + timedelta(seconds=n),
            "received_at": begin,
        }
        for n in range(MANY)
    ]
    with pymongo.timeout(60):  # a busy machine is no outage
        mongo.database()["logs"].insert_many(rows)


@contextmanager
def half_written(export: dict[str, Any], start: Callable[..., Worker]) -> Iterator[Worker]:
    """In this block its first worker has written a chunk of it, and waits to write the second."""
    with held("exports.chunks", {"files_id": file_id(export["jobId"], 1), "n": 1}):
        worker = start()
        begun = Job.objects(id=export["jobId"], progress__done__gt=0)
        wait_until(lambda: begun.first() and is_waited_for("exports.chunks"), 60, "it to be half written")
        yield worker


def ends(export: dict[str, Any], status: str = "completed", seconds: float = 60) -> Job:
    found: Job = wait_until(lambda: Job.objects(id=export["jobId"], status=status).first(), seconds, status)
    return found


def is_whole(client: FlaskClient, job: Job) -> None:
    content = client.get(f"{AT}/{job.id}/download").data
    assert hashlib.sha256(content).hexdigest() == job.result["sha256"]
    content = gzip.decompress(content)
    assert [row["message"] for row in rows_of(content)] == [f"message {n}" for n in range(MANY)]
    assert FILES.ids() == {job.result["file_id"]}


@pytest.mark.actor("operator")
@pytest.mark.usefixtures("many")
def test_whose_worker_and_process_are_killed_is_finished_by_another_with_each_row_once(
    client: FlaskClient, ask: Ask, start: Callable[..., Worker]
) -> None:
    export = ask(compress=True)
    with half_written(export, start) as doomed:
        doomed.child().kill()
        doomed.end()
    start()

    done = ends(export)

    assert done.attempts == 2
    is_whole(client, done)


@pytest.mark.actor("operator")
@pytest.mark.usefixtures("many")
def test_what_a_stopped_worker_writes_when_it_wakes_up_is_refused(
    client: FlaskClient, ask: Ask, start: Callable[..., Worker]
) -> None:
    export = ask(compress=True)
    with half_written(export, start) as sleeper:
        child = sleeper.child()
        for process in (sleeper.process.pid, child.pid):
            os.kill(process, signal.SIGSTOP)
    start()
    done = ends(export)
    for process in (sleeper.process.pid, child.pid):
        os.kill(process, signal.SIGCONT)

    wait_until(lambda: not child.is_running() or child.status() == "zombie", 30, "the sleeper to give up")

    assert Job.objects(id=export["jobId"]).get().result == done.result
    is_whole(client, done)


@pytest.mark.actor("operator")
@pytest.mark.usefixtures("many")
def test_one_that_is_made_is_called_off_and_leaves_nothing(
    client: FlaskClient, ask: Ask, start: Callable[..., Worker]
) -> None:
    export = ask(compress=True)
    with half_written(export, start) as worker:
        child = worker.child()
        child.suspend()  # or it may remove what it has written before the second chunk has come
        assert client.post(f"{AT}/{export['jobId']}/cancel").status_code == 200
    chunks = mongo.database()["exports.chunks"]
    wait_until(lambda: chunks.count_documents({}) == 2, what="the second chunk")
    child.resume()
    ends(export, "cancelled", 10)
    wait_until(lambda: FILES.ids() == set(), what="its parts to be removed")


@pytest.mark.actor("operator")
def test_all_that_wait_are_made_though_redis_forgets_them_and_nobody_waits_for_all_of_another(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], device: Any, start: Callable[..., Worker]
) -> None:
    other = make_account()
    make_device(other.actor)
    ours = [client.post(AT, json=wanted()).json for _ in range(5)]
    theirs = client_of(other).post(AT, json=wanted()).json
    redis.current().client.flushdb()
    start()

    ended = [ends(export) for export in [*ours, theirs]]

    begun = sorted(ended, key=lambda job: job.started_at)
    assert [str(job.id) for job in begun].index(theirs["jobId"]) <= 2


@pytest.mark.actor("operator")
def test_one_that_died_and_is_begun_anew_by_hand_finds_nothing_in_its_way(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], device: Any, ask: Ask
) -> None:
    export = ask()
    left_behind = FILES.create(file_id(export["jobId"], 1), "left.csv", reserve_mb=0)
    left_behind.write(b"what a killed worker wrote")
    left_behind.finish()
    Job.objects(id=export["jobId"]).update(set__status="failed", set__attempts=4)

    admin = client_of(make_account(platform_admin=True))
    assert admin.post(f"/api/admin/jobs/{export['jobId']}/retry").status_code == 200
    done = run_job(export["jobId"])

    assert (done.status, done.attempts) == ("completed", 1)
    assert client.get(f"{AT}/{export['jobId']}/download").status_code == 200
