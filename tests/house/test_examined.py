"""Lists of logs, and analytics, read about what they answer with: MongoDB's profiler counts the keys."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.core import clock, mongo
from tests.factories import Account, make_device
from tests.house.test_indexes import profiled

__all__ = ["profiled"]

LIMIT = 50
# What cannot but look at more than it returns, and why.
LOOKS_AT_MORE = {
    "search=": "no index finds parts of words: it walks through the logs, 20 000 at a time",
    "/api/logs?event=": "of all devices, events are sought as parts of words are",
    "level=info": "most logs are at info or below: of all devices no index holds them",
    "event=on&level=": "one of the two is sought among what the other picks out",
}
LISTS = (
    "{device}/logs?",
    "{device}/logs?event=on",
    "{device}/logs?level=error",
    "{device}/logs?event=on&level=error",
    "{device}/logs?order=asc",
    "{device}/logs?search=valve",
    "{device}/logs?from={at}",
    "/api/logs?",
    "/api/logs?order=asc",
    "/api/logs?level=error",
    "/api/logs?level=info",
    "/api/logs?event=on",
    "/api/logs?search=valve",
    "/api/logs?to={at}",
    "/api/logs?deviceId={id}",
    "/api/logs?deviceId={id}&deviceId={other}",
    "/api/logs?deviceId={id}&deviceId={other}&level=error",
)
ANALYTICS = (
    "/api/analytics/dashboard?range=24h",
    "/api/analytics/dashboard?range=7d",
    "/api/analytics/dashboard?range=7d&timezone=Asia/Kathmandu",
    "/api/analytics/trends?range=7d",
    "/api/analytics/comparison?devices={id},{other}&range=7d",
    "/api/analytics/realtime",
    "{device}/usage?range=7d",
    "{device}/usage?range=7d&percentiles=true",
)


@pytest.fixture
def names(client: FlaskClient, account: Account) -> dict[str, str]:
    """Three devices with 400 logs each of the last days, as addresses name them."""
    now, ids = clock.now(), [str(make_device(account.actor)["id"]) for _ in range(3)]
    for device_id in ids:
        logs = [
            {
                "event": ("on", "off", "units_consumed", "door")[number % 4],
                "level": ("info", "info", "warning", "error")[number // 4 % 4],
                "value": float(number),
                "timestamp": clock.rfc3339(now - timedelta(minutes=10 * number)),
            }
            for number in range(400)
        ]
        assert client.post(f"/api/devices/{device_id}/logs", json={"logs": logs}).json["accepted"] == 400
    at = clock.rfc3339(now - timedelta(days=1))
    return {"device": f"/api/devices/{ids[0]}", "id": ids[0], "other": ids[1], "at": at}


def examined(client: FlaskClient, path: str) -> Iterator[tuple[int, int, str]]:
    """How many keys each query of logs and of what is counted of them reads, and how much it returns or adds up.

    What adds up reads a key too many in each collection that it unites.
    """
    profile = mongo.database()["system.profile"]
    begun = clock.now()
    assert client.get(path, headers={"Cache-Control": "no-cache"}).status_code == 200, path
    of_logs = {
        "ns": {"$regex": r"\.(logs|usage_\w+)$"},
        "ts": {"$gte": begun},
        "op": {"$in": ["query", "command"]},
    }
    for row in profile.find(of_logs):
        plan, steps = f"{path}: {row['ns']} {row.get('planSummary')}", row["command"].get("pipeline", [])
        used = row.get("docsExamined", 0) + counted(steps) + len(steps) if steps else row.get("nreturned", 0)
        yield row.get("keysExamined", 0), used, plan


def counted(steps: list[Any]) -> int:
    """How many logs a sum counts by their keys alone, as it does those of the quarter of an hour under way."""
    unions = [step["$unionWith"] for step in steps if "$unionWith" in step]
    matches = [union["pipeline"][0]["$match"] for union in unions if {"$count": "c"} in union["pipeline"]]
    return sum(mongo.database()["logs"].count_documents(match) for match in matches)


@pytest.mark.actor()
def test_a_list_reads_at_most_twice_what_it_shows(
    client: FlaskClient, names: dict[str, str], profiled: Any, subtests: pytest.Subtests
) -> None:
    for asked in LISTS:
        with subtests.test(asked):
            path = asked.format(**names)
            found = [*examined(client, f"{path}{'' if path.endswith('?') else '&'}limit={LIMIT}")]
            assert found, "the profiler saw nothing"
            looks_at_more = any(asked.startswith(part) or part in asked for part in LOOKS_AT_MORE)
            wasteful = [(keys, shown, plan) for keys, shown, plan in found if keys > 2 * max(shown, 1) + 2]
            assert looks_at_more or wasteful == []


@pytest.mark.actor()
def test_analytics_reads_at_most_twice_the_documents_it_adds_up(
    client: FlaskClient, names: dict[str, str], profiled: Any, subtests: pytest.Subtests
) -> None:
    for asked in ANALYTICS:
        with subtests.test(asked):
            found = [*examined(client, asked.format(**names))]
            assert found, "the profiler saw nothing"
            assert [each for each in found if each[0] > 2 * max(each[1], 1) + 2] == []


@pytest.mark.actor()
def test_a_fleet_is_counted_by_the_keys_of_an_index_alone(
    client: FlaskClient, names: dict[str, str], profiled: Any
) -> None:
    assert client.get("/api/analytics/realtime").json["offlineDevices"] == 0
    rows = list(profiled.find({"command.aggregate": "devices"}))
    assert [(row["docsExamined"], row["keysExamined"] // 3) for row in rows] == [(0, 1)]
