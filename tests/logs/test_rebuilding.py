"""Counting again: after a change of zone, after damage, after deletions, and while others write."""

import random
import threading
from datetime import timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import calendar, clock, mongo
from devicehub.jobs import service as jobs
from devicehub.logs import rebuilding
from devicehub.logs import service as logs
from tests.factories import Account, make_device
from tests.jobs.inline import run_due_jobs, run_job
from tests.logs.test_rollups import everything_is_counted_once, some_logs


def fill(account: Account, *, days: int = 28) -> list[str]:
    """Two devices, and 300 logs of the last `days`."""
    draw, devices = random.Random(1), [make_device(account.actor)["id"] for _ in range(2)]
    for device in devices:
        logs.add(account.actor, device, list(some_logs(draw, 150, days=days)))
    return devices


@pytest.mark.actor()
def test_days_are_counted_in_the_zone_an_organization_takes_and_in_no_other(
    client: FlaskClient, account: Account
) -> None:
    fill(account)
    path = f"/api/organizations/{account.actor.organization_id}"
    for zone in ("Asia/Kathmandu", "America/New_York"):
        assert client.patch(path, json={"timezone": zone}).status_code == 200
        assert [job.status for job in run_due_jobs("logs.keep_zone")] == ["completed"]
        [row] = mongo.database()["usage_zones"].find()
        assert (row["zone"], row["ready"]) == (zone, True)
        assert set(mongo.database()["usage_days"].distinct("zone")) == {"UTC", zone}
        assert everything_is_counted_once() == 300
    client.patch(path, json={"timezone": "UTC"})
    run_due_jobs("logs.keep_zone")
    assert mongo.database()["usage_days"].distinct("zone") == ["UTC"]
    assert everything_is_counted_once() == 300


@pytest.mark.actor()
def test_who_writes_while_days_are_counted_again_is_counted_once(account: Account) -> None:
    [device, _] = fill(account)
    organization_id, stop, written = ObjectId(account.actor.organization_id), threading.Event(), [0]

    def write() -> None:
        draw = random.Random(2)
        while not stop.is_set():
            written[0] += len(logs.add(account.actor, device, list(some_logs(draw, 10))))

    writer = threading.Thread(target=write)
    writer.start()
    for zone in ("Europe/Berlin", "Asia/Kathmandu"):
        list(rebuilding.keep_zone(organization_id, zone))
    for day in list(rebuilding.days_of(organization_id)):
        rebuilding.check(organization_id, day)
    stop.set()
    writer.join()
    assert written[0] > 0
    assert everything_is_counted_once() == 300 + written[0]


DAMAGE: list[tuple[str, Any]] = [
    ("usage_devices", {"$inc": {"t.c": 1, "q.40.c": 1}}),
    ("usage_hours", {"$inc": {"c": 1, "e.on.c": 1}}),
    ("usage_days", {"$inc": {"e.on.c": -1}}),
    ("usage_weeks", {"$set": {"d": {}}}),
    ("logs", None),
    ("usage_hours", None),
    ("usage_weeks", None),
]


@pytest.mark.actor()
@pytest.mark.parametrize(("collection", "damage"), DAMAGE)
def test_what_was_damaged_is_found_and_mended(account: Account, typed: Any, collection: str, damage: Any) -> None:
    fill(account, days=9)  # of two weeks: each day is counted again twice
    damaged, chosen = mongo.database()[collection], {"part": "all"}
    if collection == "usage_weeks":
        damaged, chosen = mongo.database()["usage_days"], {"part": {"$regex": "^w"}}
    elif collection in ("logs", "usage_devices"):
        chosen = {}
    if damage is None:
        damaged.delete_one(chosen)
    else:
        damaged.update_one(chosen, damage)
    with pytest.raises(AssertionError):
        everything_is_counted_once()
    first, second = (typed("rollups", "rebuild") for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert " 0 counts on 0 days" not in first.output
    assert " 0 counts on 0 days" in second.output
    assert everything_is_counted_once() == 300 - (collection == "logs")


@pytest.mark.actor()
def test_a_deleted_device_is_taken_out_of_what_its_organization_did(client: FlaskClient, account: Account) -> None:
    [device, _] = fill(account)
    assert client.delete(f"/api/devices/{device}").status_code == 204
    run_due_jobs("logs.purge")
    assert everything_is_counted_once() == 150
    assert mongo.database()["usage_devices"].count_documents({"device_id": ObjectId(device)}) == 0


@pytest.mark.actor()
def test_at_night_what_is_old_goes_and_what_is_wrong_is_mended(client: FlaskClient, account: Account) -> None:
    fill(account)
    client.patch(f"/api/organizations/{account.actor.organization_id}", json={"logRetentionDays": 10})
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    left = mongo.database()["logs"].count_documents({"at": {"$gte": hour - timedelta(days=10)}})
    mongo.database()["usage_hours"].delete_one({"at": {"$gte": hour - timedelta(days=2)}, "part": "all"})
    job = run_job(jobs.enqueue("logs.tidy"))
    assert job.status == "completed", job.error
    assert job.result["logs"] == 300 - left
    assert job.result["wrong"] > 0
    assert mongo.database()["logs"].count_documents({}) == left
    assert run_job(jobs.enqueue("logs.tidy")).result == {"wrong": 0}
    weeks_are_the_sums_of_their_days()


def weeks_are_the_sums_of_their_days() -> None:
    days = mongo.database()["usage_days"]
    of_weeks = {(row["zone"], row["at"], row["part"]): row["d"] for row in days.find({"part": {"$regex": "^w"}})}
    found: dict[Any, Any] = {}
    for day in days.find({"part": {"$regex": r"^\d"}}):
        week = calendar.floor(day["at"], "week", ZoneInfo(day["zone"]))
        devices = found.setdefault((day["zone"], week, f"w{day['part']}"), {})
        for device, told in day["d"].items():
            devices[device] = devices.get(device, 0) + told["c"]
    counts = {key: {one: told["c"] for one, told in devices.items()} for key, devices in of_weeks.items()}
    assert counts == found


@pytest.mark.actor()
def test_weeks_are_made_up_of_the_days_that_were_counted_before_there_were_any(account: Account) -> None:
    zone = {"_id": ObjectId(account.actor.organization_id), "zone": "America/New_York"}
    mongo.database()["usage_zones"].insert_one(zone)
    fill(account)
    mongo.database()["usage_days"].delete_many({"part": {"$regex": "^w"}})
    import_module("migrations_indexes.0020_usage_weeks").up(mongo.database())
    assert everything_is_counted_once() == 300


@pytest.mark.actor()
def test_with_an_organization_all_it_logged_is_gone(client: FlaskClient, account: Account) -> None:
    fill(account)
    client.post("/api/organizations", json={"name": "Spare"})
    assert client.delete(f"/api/organizations/{account.actor.organization_id}").status_code == 202
    run_due_jobs()
    for name in ("logs", "usage_hours", "usage_days", "usage_devices"):
        assert mongo.database()[name].count_documents({}) == 0
    [receipt] = mongo.database()["organization_deletions"].find()
    assert (receipt["waiting"], receipt["counts"]["logs"]) == ([], 300)
