"""Periodic jobs: each period once, whoever schedules, and however long nobody did."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from devicehub.core import clock as system_clock
from devicehub.jobs.models import Job
from devicehub.jobs.schedule import Scheduler, period_of

pytestmark = pytest.mark.usefixtures("app")

Clock = Callable[[float], None]
HOURLY = {"tests.note": "0 * * * *"}
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def on_the_hour(clock: Clock) -> None:
    """Begin a minute past the hour, so that no test meets another hour than it means to."""
    moment = system_clock.now()
    clock((moment.replace(minute=1, second=0, microsecond=0) + timedelta(hours=1) - moment).total_seconds())


def keys() -> list[str]:
    return [job.key for job in Job.objects(name="tests.note").order_by("id")]


def test_two_schedulers_enqueue_each_period_once(clock: Clock) -> None:
    one, other = Scheduler(HOURLY), Scheduler(HOURLY)
    for _ in range(3):
        one.step()
        other.step()
        one.step()
        clock(3600)
    assert len(keys()) == len(set(keys())) == 3


def test_two_at_the_very_same_moment_enqueue_one_job() -> None:
    together = Barrier(8)

    def step() -> None:
        scheduler = Scheduler(HOURLY)
        together.wait()
        scheduler.step()

    threads = [Thread(target=step) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys()) == 1


def test_a_period_is_not_begun_again_by_a_scheduler_that_starts_anew() -> None:
    Scheduler(HOURLY).step()
    Scheduler(HOURLY).step()
    assert len(keys()) == 1


def test_periods_that_nobody_saw_are_made_up_for_by_one_job(clock: Clock) -> None:
    scheduler = Scheduler(HOURLY)
    scheduler.step()
    clock(10 * 3600)
    scheduler.step()
    scheduler.step()
    assert len(keys()) == 2


def test_the_key_of_a_job_names_its_period() -> None:
    Scheduler(HOURLY).step()
    hour = system_clock.now().replace(minute=0, second=0, microsecond=0)
    assert keys() == [f"cron:tests.note:{system_clock.rfc3339(hour)}"]


@pytest.mark.parametrize(
    ("cron", "moment", "began"),
    [
        ("0 12 * * *", NOON, NOON),
        ("0 12 * * *", NOON + timedelta(milliseconds=1), NOON),
        ("0 12 * * *", NOON - timedelta(milliseconds=1), NOON - timedelta(days=1)),
        ("*/5 * * * *", NOON + timedelta(seconds=299), NOON),
        ("30 3 * * 1", NOON, datetime(2026, 1, 26, 3, 30, tzinfo=UTC)),
    ],
)
def test_a_period_begins_at_its_time_and_lasts_until_the_next(
    cron: str, moment: datetime, began: datetime
) -> None:
    assert period_of(cron, moment) == began
