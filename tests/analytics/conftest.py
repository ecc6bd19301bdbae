"""Random logs of a small fleet, some of them at the edges of hours, days and changes of the clock."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devicehub.core import clock as system_clock
from devicehub.logs import service as logs
from devicehub.logs.models import USAGE
from tests.factories import Account, make_device

EVENTS = [USAGE, USAGE, "on", "a.b", "door"]
Write = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def fleet(account: Account) -> list[Any]:
    return [make_device(account.actor) for _ in range(3)]


@pytest.fixture
def write(account: Account, fleet: list[Any]) -> Write:
    """Write so many logs of the last days by a seed; returns what was written."""

    def written(number: int, *, seed: int, days: float = 20) -> list[dict[str, Any]]:
        draw, now, rows = random.Random(seed), system_clock.now(), []
        for device in fleet:
            many = []
            for _ in range(number):
                at = now - timedelta(days=days * draw.random())
                if draw.random() < 0.3:
                    at = at.replace(minute=draw.choice([0, 15, 30, 45]), second=0, microsecond=0)
                fields = {"event": draw.choice(EVENTS), "level": "info", "at": min(at, now)}
                if draw.random() < 0.8:
                    fields["value"] = round(draw.uniform(-10, 90), 2)
                many.append(fields)
            logs.add(account.actor, device["id"], many)
            rows += [{**fields, "device": device["id"]} for fields in many]
        return rows

    return written


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
