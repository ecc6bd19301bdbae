"""A past that is made up: counted like any other, and the same for the same seed."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId
from click.testing import Result
from flask.testing import FlaskClient

from devicehub.core import mongo
from devicehub.logs.models import DeviceDay
from tests.factories import make_account, make_device
from tests.logs.test_rollups import everything_is_counted_once


def test_a_demo_account_gets_a_fleet_with_a_past(client: FlaskClient, typed: Callable[..., Result]) -> None:
    made = typed("seed", "--devices", "20", "--logs", "1000", "--days", "10")
    assert made.exit_code == 0, made.output
    email, password = re.findall(r"account: (\S+), password (\S+)\.", made.output)[0]
    assert everything_is_counted_once() == 1000
    token = client.post("/api/auth/login", json={"email": email, "password": password}).json["accessToken"]
    found = client.get("/api/analytics/dashboard?range=10d", headers={"Authorization": f"Bearer {token}"}).json
    assert (found["summary"]["totalDevices"], found["summary"]["recentLogs"]) == (20, 1000)
    assert all(bucket["logCount"] for bucket in found["usageTrend"][:-1])


def test_the_same_seed_makes_the_same_past(client: FlaskClient, typed: Callable[..., Result]) -> None:
    def past(organization_id: str) -> list[Any]:
        rows = mongo.database()["logs"].find({"organization_id": ObjectId(organization_id)})
        return sorted((row["event"], row.get("value", 0.0)) for row in rows)

    accounts = [make_account(), make_account()]
    for account in accounts:
        made = typed(
            "seed",
            "--devices",
            "5",
            "--logs",
            "200",
            "--days",
            "4",
            "--organization",
            account.actor.organization_id,
        )
        assert made.exit_code == 0, made.output
    first, second = (past(account.actor.organization_id) for account in accounts)
    assert first == second and len(first) == 200


def test_a_past_is_added_to_what_an_organization_logged_already(
    client: FlaskClient, typed: Callable[..., Result]
) -> None:
    account = make_account()
    owner = account.actor.organization_id
    mongo.database()["usage_zones"].insert_one({"_id": ObjectId(owner), "zone": "Asia/Kathmandu"})
    device = make_device(account.actor)["id"]
    told = {"event": "units_consumed", "value": 2.5}
    assert client.post(f"/api/devices/{device}/logs", json=told, headers=account.headers).status_code == 201
    for seed in ("1", "2"):
        made = typed("seed", "--devices=9", "--logs=300", "--days=3", f"--seed={seed}", f"--organization={owner}")
        assert made.exit_code == 0, made.output
    assert everything_is_counted_once() == 601
    assert " 0 counts on 0 days" in typed("rollups", "rebuild").output


def test_a_past_whose_making_was_interrupted_is_counted_again(
    client: FlaskClient, typed: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(document: type[Any]) -> Any:
        if document is DeviceDay:
            raise KeyboardInterrupt
        return document._get_collection()

    monkeypatch.setattr(mongo, "at_ease", interrupted)
    owner = make_account().actor.organization_id
    assert typed("seed", "--devices=5", "--logs=200", "--days=3", f"--organization={owner}").exit_code != 0
    assert 0 < mongo.database()["logs"].count_documents({}) <= 200
    assert " 0 counts on 0 days" not in typed("rollups", "rebuild").output
    assert everything_is_counted_once() == mongo.database()["logs"].count_documents({})


def test_an_organization_that_is_not_there_is_named(typed: Callable[..., Result]) -> None:
    assert typed("seed", "--organization", "65f0a1b2c3d4e5f6a7b8c9d2").exit_code != 0
    assert "24 hex digits" in typed("seed", "--organization", "nonsense").output
