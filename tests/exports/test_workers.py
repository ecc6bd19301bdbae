"""Exports by real workers that are killed, stopped, cut off and crowded: each file is whole, and there once."""

import gzip
import hashlib
import os
import signal
from collections.abc import Callable
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
from tests.jobs.inline import run_job
from tests.jobs.processes import Worker, start, sweeper

__all__ = ["start", "sweeper"]  # fixtures
pytestmark = [pytest.mark.xdist_group("jobs"), pytest.mark.usefixtures("sweeper")]

MANY = 20_000


@pytest.fixture
def many(account: Account, device: Any) -> None:
    """So many logs of a device, a second apart, and none of them small: a file of them takes a moment."""
    ours = {"organization_id": ObjectId(account.actor.organization_id), "device_id": ObjectId(device["id"])}
    begin = system_clock.now().replace(microsecond=0) - timedelta(days=6)
    for first in range(0, MANY, 2000):
        rows = [
            {
                **ours,
                "event": "on",
                "level": "info",
                "message": f"message {n}",
                "metadata": {"noise": hashlib.sha512(b"%d" % n).hexdigest() * 12},
                "at": begin + timedelta(seconds=n),
                "received_at": begin,
            }
            for n in range(first, first + 2000)
        ]
        with pymongo.timeout(60):  # a busy machine is no outage
            mongo.database()["logs"].insert_many(rows)


def is_written(export: dict[str, Any], attempt: int = 1) -> None:
    """Wait until an attempt has written some of it."""
    begun = {"id": export["jobId"], "attempts": attempt, "progress__done__gt": 0}
    wait_until(lambda: Job.objects(**begun).first(), 60, "it to be under way")


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
    doomed, export = start(), ask(compress=True)
    is_written(export)
    child = doomed.child()
    child.kill()
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
    sleeper, export = start(), ask(compress=True)
    is_written(export)
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
    start()
    export = ask(compress=True)
    is_written(export)
    assert client.post(f"{AT}/{export['jobId']}/cancel").status_code == 200
    ends(export, "cancelled", 10)
    wait_until(lambda: FILES.ids() == set(), what="its parts to be removed")


@pytest.mark.actor("operator")
def test_all_that_wait_are_made_though_redis_forgets_them_and_nobody_waits_for_all_of_another(
    client: FlaskClient, client_of: Callable[[Account], FlaskClient], device: Any, start: Callable[..., Worker]
) -> None:
    other = make_account()
    make_device(other.actor)
    ours = [client.post(AT, json=wanted()).json for _ in range(10)]
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
