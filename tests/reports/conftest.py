"""What the tests of reports are made on: the logs of analytics, and what schedules ask for."""

from collections.abc import Callable
from typing import Any

import pytest

from devicehub.jobs.models import Job
from tests.analytics.conftest import fleet, write

__all__ = ["fleet", "write"]

Asked = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def asked(app: Any) -> Asked:
    """The arguments of every export that was asked for by schedules, in order."""
    return lambda: [job.arguments for job in Job.objects(name="exports.scheduled").order_by("id")]
