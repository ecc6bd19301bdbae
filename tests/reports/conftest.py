"""What the tests of reports are made on: the logs of analytics, and schedules."""

from collections.abc import Callable
from typing import Any

import pytest

from devicehub.jobs.models import Job
from devicehub.reports import schedules
from tests.analytics.conftest import fleet, write

__all__ = ["fleet", "write"]

MakeSchedule = Callable[..., str]
Asked = Callable[[], list[dict[str, Any]]]


def fields(**changes: Any) -> dict[str, Any]:
    """What a schedule takes, as a request is loaded."""
    return {
        "name": "Every day",
        "type": "usage_report",
        "format": "csv",
        "frequency": "daily",
        "weekday": "monday",
        "day": 1,
        "hour": 6,
        "filters": {"device_ids": [], "event_types": [], "include_inactive": False},
        "enabled": True,
        **changes,
    }


@pytest.fixture
def make_schedule(app: Any) -> MakeSchedule:
    return lambda actor, **changes: str(schedules.create(actor, fields(**changes)).id)


@pytest.fixture
def asked(app: Any) -> Asked:
    """The arguments of every export that was asked for by schedules, in order."""
    return lambda: [job.arguments for job in Job.objects(name="exports.scheduled").order_by("id")]
