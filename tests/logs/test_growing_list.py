"""A long list that is read while it grows: no log is shown twice, and none that was there is left out."""

import threading
from datetime import timedelta
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import clock, mongo
from tests.factories import Account, bearing, make_api_key, make_device

NUMBER, BATCH = 20_000, 5000


def there_are(account: Account, device_ids: list[str]) -> None:
    """As many logs of some devices, over a day, several of them at the same moment; past the API, for there are many."""
    now = clock.now()
    for first in range(0, NUMBER, BATCH):
        rows = [
            {
                "organization_id": ObjectId(account.actor.organization_id),
                "device_id": ObjectId(device_ids[number % len(device_ids)]),
                "event": "old",
                "level": "info",
                "value": float(number),
                "at": now - timedelta(seconds=number // 3),
                "received_at": now,
            }
            for number in range(first, first + BATCH)
        ]
        with pymongo.timeout(60):  # a busy machine is no outage
            mongo.database()["logs"].insert_many(rows, ordered=False)


@pytest.mark.actor()
def test_twenty_thousand_logs_are_each_listed_once_while_more_come(
    app: Any, client: FlaskClient, account: Account
) -> None:
    device_ids = [make_device(account.actor)["id"] for _ in range(3)]
    there_are(account, device_ids)
    read, written = threading.Event(), []
    headers = bearing(make_api_key(account.actor, "logs:write"))

    def go_on_writing() -> None:
        writer = app.test_client()
        while not read.wait(0.02):  # it is the reader who is to have the machine
            logs = [
                {"event": "new"},
                {"event": "late", "timestamp": clock.rfc3339(clock.now() - timedelta(hours=5))},
            ]
            answer = writer.post(f"/api/devices/{device_ids[0]}/logs", json={"logs": logs}, headers=headers)
            written.append(answer.json["accepted"])

    writing = threading.Thread(target=go_on_writing)
    writing.start()
    try:
        seen, moments = listed(client)
    finally:
        read.set()
        writing.join(30)
    assert len(written) > 10 and set(written) == {2}, "nothing was written meanwhile"
    values = [value for value in seen.values() if value is not None]
    assert sorted(values) == [float(number) for number in range(NUMBER)]
    assert moments == sorted(moments, reverse=True)


def listed(client: FlaskClient) -> tuple[dict[str, float | None], list[str]]:
    """The values by id, and the moments in the order in which they were shown."""
    seen: dict[str, float | None] = {}
    moments: list[str] = []
    cursor = ""
    while True:
        found = client.get(f"/api/logs?limit=100{cursor}").json
        for item in found["items"]:
            assert item["id"] not in seen, "a log was shown twice"
            seen[item["id"]] = item["value"]
            moments.append(item["timestamp"])
        if found["pagination"]["nextCursor"] is None:
            return seen, moments
        cursor = f"&cursor={found['pagination']['nextCursor']}"
