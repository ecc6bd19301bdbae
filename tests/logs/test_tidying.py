"""Each night the last days are compared with their logs, those of an organization's own zone, too."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock, mongo
from devicehub.jobs import service as jobs
from devicehub.logs import rollups
from devicehub.logs import service as logs
from tests.factories import Account, make_device
from tests.jobs.inline import run_due_jobs, run_job
from tests.logs.test_rollups import everything_is_counted_once

ZONE = "Asia/Tokyo"


def in_zone(client: FlaskClient, account: Account) -> None:
    path = f"/api/organizations/{account.actor.organization_id}"
    assert client.patch(path, json={"timezone": ZONE}).status_code == 200
    run_due_jobs("logs.keep_zone")


@pytest.mark.actor()
def test_the_first_log_of_a_day_is_counted_in_a_zone_that_is_taken_meanwhile(
    client: FlaskClient, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = make_device(account.actor)["id"]
    logs.add(account.actor, device, [{"event": "on", "level": "info", "at": clock.now() - timedelta(days=5)}])
    changing, real = list[threading.Thread](), rollups.zones_of

    def zones_of(session: Any, ids: Any) -> Any:
        found = real(session, ids)
        if session is not None and not changing:  # the writer knows which zones there are, and goes on later
            changing.append(threading.Thread(target=in_zone, args=[client, account]))
            changing[0].start()
            changing[0].join()
        return found

    monkeypatch.setattr(rollups, "zones_of", zones_of)
    at = clock.now() - timedelta(days=1)
    logs.add(account.actor, device, [{"event": "on", "level": "info", "at": at}])
    assert run_job(jobs.enqueue("logs.tidy")).status == "completed"
    assert everything_is_counted_once() == 2


@pytest.mark.actor()
@pytest.mark.parametrize("damage", [{"$inc": {"c": 1, "e.on.c": 1}}, None])
def test_at_night_the_days_of_its_own_zone_are_mended(client: FlaskClient, account: Account, damage: Any) -> None:
    in_zone(client, account)
    device = make_device(account.actor)["id"]
    many = [{"event": "on", "level": "info", "at": clock.now() - timedelta(hours=n)} for n in range(100)]
    logs.add(account.actor, device, many)
    assert everything_is_counted_once() == 100
    days, own = mongo.database()["usage_days"], {"zone": ZONE, "part": "all"}
    [whole] = days.find(own).sort("at", -1).skip(1).limit(1)
    days.update_one({"_id": whole["_id"]}, damage) if damage else days.delete_one({"_id": whole["_id"]})
    with pytest.raises(AssertionError):
        everything_is_counted_once()
    assert run_job(jobs.enqueue("logs.tidy")).result["wrong"] > 0
    assert everything_is_counted_once() == 100
    assert run_job(jobs.enqueue("logs.tidy")).result == {"wrong": 0}


@pytest.mark.actor()
@pytest.mark.parametrize("days", [1, 2, 3])
def test_what_is_deleted_for_its_age_is_no_drift(client: FlaskClient, account: Account, days: int) -> None:
    device = make_device(account.actor)["id"]
    now = clock.now()
    many = [{"event": "on", "level": "info", "at": now - timedelta(hours=n, minutes=1)} for n in range(24 * 6)]
    logs.add(account.actor, device, many)
    client.patch(f"/api/organizations/{account.actor.organization_id}", json={"logRetentionDays": days})
    job = run_job(jobs.enqueue("logs.tidy"))
    assert job.status == "completed", job.error
    assert job.result["wrong"] == 0
