"""Trends: what is compared with what, and a forecast that says what it is."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.analytics import trends
from devicehub.analytics.ranges import Range
from devicehub.core import clock
from devicehub.logs import service as logs
from devicehub.logs.models import USAGE
from tests.analytics.conftest import moment
from tests.factories import Account
from tests.web.refusals import refused

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 10, tzinfo=UTC)
DAY = timedelta(days=1)


def used(account: Account, device: Any, amounts: dict[datetime, float]) -> None:
    many = [{"event": USAGE, "level": "info", "at": at, "value": value} for at, value in amounts.items()]
    logs.add(account.actor, device["id"], many)


def test_a_range_that_runs_is_compared_with_the_same_part_of_the_one_before() -> None:
    running = Range(MIDNIGHT - 6 * DAY, MIDNIGHT + DAY, "day", "UTC")
    found = trends.before(running, NOON)
    assert (found.start, found.end) == (MIDNIGHT - 13 * DAY, MIDNIGHT - 6 * DAY - DAY / 2)
    ended = Range(MIDNIGHT - 7 * DAY, MIDNIGHT, "day", "UTC")
    assert trends.before(ended, NOON).end == ended.start


@pytest.mark.actor()
def test_what_changed_is_told_with_who_changed_most(
    client: FlaskClient, account: Account, fleet: list[Any]
) -> None:
    now = clock.now()
    this, last = now - timedelta(hours=1), now - timedelta(days=2, hours=1)
    used(account, fleet[0], {this: 30.0, last: 10.0})
    used(account, fleet[1], {this: 5.0, last: 45.0})
    used(account, fleet[2], {this: 7.0, last: 7.0})
    query = f"from={clock.rfc3339(now - 2 * DAY)}&to={clock.rfc3339(now)}"
    found = client.get(f"/api/analytics/trends?{query}").json
    assert found["usage"] == {"current": 42, "previous": 62, "change": -20, "changePercent": -32.26}
    assert (found["logs"]["current"], found["logs"]["change"]) == (3, 0)
    movers = [(one["deviceId"], one["change"]) for one in found["topMovers"]]
    assert movers == [(fleet[1]["id"], -40), (fleet[0]["id"], 20)]
    assert moment(found["previous"]["to"]) == moment(found["range"]["from"])


@pytest.mark.actor()
def test_what_was_before_what_is_kept_is_not_compared_with(client: FlaskClient, account: Account) -> None:
    client.patch(f"/api/organizations/{account.actor.organization_id}", json={"logRetentionDays": 10})
    found = client.get("/api/analytics/trends?range=9d").json
    assert found["previous"] is None
    assert found["usage"] == {"current": 0, "previous": None, "change": None, "changePercent": None}
    assert found["topMovers"] == []


@pytest.mark.actor()
def test_a_forecast_goes_on_as_the_days_and_weekdays_did(
    client: FlaskClient, account: Account, fleet: list[Any]
) -> None:
    """Days that grow by 2 each, and of which Saturdays and Sundays have half."""
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)

    def amount(day: int) -> float:
        weekday = (today + day * DAY).weekday()
        return (200 + 2 * day) * (0.5 if weekday >= 5 else 1.0)

    used(account, fleet[0], {today + day * DAY + timedelta(hours=9): amount(day) for day in range(-28, 0)})
    query = f"from={clock.rfc3339(today - 14 * DAY)}&to={clock.rfc3339(today)}&timezone=UTC"
    forecast = client.get(f"/api/analytics/trends?{query}").json["forecast"]
    assert (forecast["method"], forecast["basedOnDays"]) == (trends.METHOD, 28)
    assert [moment(bucket["timestamp"]) for bucket in forecast["buckets"]] == [
        today + day * DAY for day in range(14)
    ]
    for day, bucket in enumerate(forecast["buckets"]):
        assert bucket["usage"] == pytest.approx(amount(day), rel=0.15)
    assert forecast["expectedUsage"] == pytest.approx(sum(map(amount, range(14))), rel=0.05)


@pytest.mark.actor()
def test_of_too_few_days_there_is_no_forecast_and_of_a_fall_none_below_nothing(
    client: FlaskClient, account: Account, fleet: list[Any]
) -> None:
    assert client.get("/api/analytics/trends?range=1h").json["forecast"] is None
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    draw = random.Random(1)
    used(account, fleet[0], {today - day * DAY + DAY / 4: 10.0 * day + draw.random() for day in range(1, 7)})
    query = f"from={clock.rfc3339(today - 6 * DAY)}&to={clock.rfc3339(today)}&timezone=UTC"
    forecast = client.get(f"/api/analytics/trends?{query}", headers={"Cache-Control": "no-cache"}).json["forecast"]
    assert all(bucket["usage"] >= 0 for bucket in forecast["buckets"])


def test_a_stranger_learns_nothing(client: FlaskClient) -> None:
    refused(client.get("/api/analytics/trends"), 401, "AUTHENTICATION_REQUIRED")
