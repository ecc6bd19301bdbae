"""What is due is asked for: once, in time, of the right days, and whoever dies meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import clock as system_clock
from devicehub.jobs.models import Job
from devicehub.organizations.models import Organization
from devicehub.reports import due, schedules
from devicehub.reports.models import Schedule
from tests.factories import Account, make_account, make_schedule
from tests.reports.conftest import Asked

Move = Callable[[float], None]


@pytest.fixture
def at(clock: Move) -> Callable[[str], None]:
    """Set the clock to a moment of UTC."""
    return lambda text: clock(
        (datetime.fromisoformat(text).replace(tzinfo=UTC) - system_clock.now()).total_seconds()
    )


def in_zone(account: Account, zone: str) -> None:
    Organization.objects(id=ObjectId(account.actor.organization_id)).update_one(set__timezone=zone)


def days(arguments: dict[str, Any]) -> tuple[str, str]:
    return arguments["start_date"], arguments["end_date"]


@pytest.mark.actor(role="viewer")
def test_nothing_is_asked_for_before_its_time(account: Account, at: Any, asked: Asked) -> None:
    at("2027-01-07T05:59:00")
    make_schedule(account.actor)
    due.sweep()
    assert asked() == []
    at("2027-01-07T06:00:01")
    due.sweep()
    assert len(asked()) == 1


@pytest.mark.actor(role="viewer")
def test_it_is_asked_for_in_the_words_of_the_export(account: Account, at: Any, asked: Asked) -> None:
    in_zone(account, "Europe/Berlin")
    at("2027-01-06T12:00:00")
    filters = {"device_ids": [], "event_types": ["door"], "include_inactive": True}
    one = make_schedule(account.actor, format="pdf", filters=filters)
    at("2027-01-07T05:00:01")
    due.sweep()
    assert asked() == [
        {
            "schedule_id": one,
            "type": "usage_report",
            "format": "pdf",
            "title": "Every day",
            "start_date": "2027-01-05T23:00:00.000Z",
            "end_date": "2027-01-06T23:00:00.000Z",
            "filters": filters,
        }
    ]
    job = Job.objects.get(name="exports.scheduled")
    assert (str(job.user_id), str(job.organization_id)) == (account.actor.user_id, account.actor.organization_id)
    assert job.key == f"schedule:{one}:2027-01-05T23:00:00.000Z/2027-01-06T23:00:00.000Z"


@pytest.mark.actor()
def test_each_time_is_asked_for_once_however_often_it_is_looked_for(
    account: Account, at: Any, asked: Asked
) -> None:
    at("2027-01-06T12:00:00")
    one = make_schedule(account.actor)
    at("2027-01-07T06:00:01")
    for _ in range(3):
        due.sweep()
    assert len(asked()) == 1
    told = schedules.get(account.actor, one)
    assert told.next_run_at == datetime(2027, 1, 8, 6, tzinfo=UTC)
    assert told.last_run_at is not None


@pytest.mark.actor()
def test_whoever_died_before_it_was_moved_on_has_neither_lost_nor_doubled_it(
    account: Account, at: Any, asked: Asked
) -> None:
    at("2027-01-06T12:00:00")
    one = ObjectId(make_schedule(account.actor))
    as_it_was = Schedule.objects.get(id=one).next_run_at
    at("2027-01-07T06:00:01")
    due.sweep()
    Schedule.objects(id=one).update_one(set__next_run_at=as_it_was)
    due.sweep()
    assert len(asked()) == 1
    assert Schedule.objects.get(id=one).next_run_at > system_clock.now()


@pytest.mark.actor()
def test_of_times_that_went_by_only_the_latest_is_made_up_for(account: Account, at: Any, asked: Asked) -> None:
    at("2027-01-06T12:00:00")
    make_schedule(account.actor)
    at("2027-01-10T20:00:00")
    due.sweep()
    assert [days(one) for one in asked()] == [("2027-01-09T00:00:00.000Z", "2027-01-10T00:00:00.000Z")]


@pytest.mark.actor()
@pytest.mark.parametrize("hour", [1, 2, 3])
@pytest.mark.parametrize("start", ["2027-03-26T12:00:00", "2027-10-29T12:00:00"])
def test_around_a_change_of_the_clocks_there_is_one_a_day(
    account: Account, at: Any, clock: Move, asked: Asked, hour: int, start: str
) -> None:
    in_zone(account, "Europe/Berlin")
    at(start)
    make_schedule(account.actor, hour=hour)
    for _ in range(4 * 48):
        clock(1800)
        due.sweep()
    told = [days(one) for one in asked()]
    assert len(told) == 4
    assert [end for _, end in told[:-1]] == [start for start, _ in told[1:]]  # one after the other, without gaps


@pytest.mark.actor()
def test_what_is_not_enabled_is_never_due(account: Account, at: Any, asked: Asked) -> None:
    at("2027-01-06T12:00:00")
    make_schedule(account.actor, enabled=False)
    one = make_schedule(account.actor)
    schedules.update(account.actor, one, {"enabled": False})
    at("2027-01-09T12:00:00")
    due.sweep()
    assert asked() == []
    assert schedules.update(account.actor, one, {"enabled": True}).next_run_at == datetime(
        2027, 1, 10, 6, tzinfo=UTC
    )


@pytest.mark.actor()
def test_a_change_of_its_time_while_it_is_swept_stays(
    account: Account, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at("2027-01-06T12:00:00")
    one = make_schedule(account.actor)
    at("2027-01-07T06:00:01")
    ask = due._ask

    def ask_late(*args: Any, **how: Any) -> str:
        schedules.update(account.actor, one, {"hour": 20})
        return ask(*args, **how)

    monkeypatch.setattr(due, "_ask", ask_late)
    due.sweep()
    assert schedules.get(account.actor, one).next_run_at == datetime(2027, 1, 7, 20, tzinfo=UTC)


@pytest.mark.actor()
def test_that_of_somebody_who_left_goes_instead(account: Account, at: Any, asked: Asked) -> None:
    at("2027-01-06T12:00:00")
    guest = make_account(role="viewer", organization_id=account.actor.organization_id)
    make_schedule(guest.actor)
    kept = make_schedule(account.actor)
    Organization.objects(id=ObjectId(account.actor.organization_id)).update_one(
        pull__members__user_id=ObjectId(guest.actor.user_id)
    )
    at("2027-01-07T06:00:01")
    due.sweep()
    assert [one["schedule_id"] for one in asked()] == [kept]
    assert [str(one.id) for one in Schedule.objects] == [kept]


@pytest.mark.actor()
def test_one_that_cannot_be_is_logged_and_no_hindrance_to_others(
    account: Account, at: Any, asked: Asked, logged: Any
) -> None:
    at("2027-01-06T12:00:00")
    broken, sound = make_schedule(account.actor, hour=5), make_schedule(account.actor)
    Schedule._get_collection().update_one({"_id": ObjectId(broken)}, {"$unset": {"hour": ""}})
    at("2027-01-07T06:00:01")
    due.sweep()
    assert [one["schedule_id"] for one in asked()] == [sound]
    assert [line["schedule"] for line in logged("report_schedule.failed")] == [broken]


@pytest.mark.actor()
def test_asked_for_now_it_is_of_the_days_before_each_time_it_is_asked_for(
    client: FlaskClient, account: Account, asked: Asked
) -> None:
    one = make_schedule(account.actor, frequency="monthly")
    before = schedules.get(account.actor, one).next_run_at
    answers = [client.post(f"/api/reports/schedules/{one}/run") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(asked()) == 2
    told = answers[0].json
    assert (told["startDate"], told["endDate"]) == days(asked()[0])
    assert Job.objects(id=ObjectId(told["jobId"])).count() == 1
    again = schedules.get(account.actor, one)
    assert again.next_run_at == before and again.last_run_at is not None


@pytest.mark.actor()
def test_asked_for_now_twice_under_one_key_it_is_one(client: FlaskClient, account: Account, asked: Asked) -> None:
    path = f"/api/reports/schedules/{make_schedule(account.actor)}/run"
    answers = [client.post(path, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json == answers[1].json
    assert len(asked()) == 1


@pytest.mark.actor()
def test_in_another_zone_it_is_due_by_that_one_and_what_is_due_already_is_not_passed_over(
    account: Account, at: Any, asked: Asked
) -> None:
    at("2027-01-06T12:00:00")
    waiting, overdue = make_schedule(account.actor, hour=20), make_schedule(account.actor, hour=13)
    at("2027-01-06T13:00:01")
    in_zone(account, "Asia/Kathmandu")
    assert due.keep_zone(account.actor.organization_id) == 1
    assert schedules.get(account.actor, waiting).next_run_at == datetime(2027, 1, 6, 14, 15, tzinfo=UTC)
    due.sweep()
    assert [one["schedule_id"] for one in asked()] == [overdue]


@pytest.mark.actor()
def test_the_export_is_noted_for_its_owner(account: Account) -> None:
    one, export = make_schedule(account.actor), str(ObjectId())
    schedules.note_export(make_account().actor, one, str(ObjectId()))
    assert schedules.get(account.actor, one).last_export_id is None
    schedules.note_export(account.actor, one, export)
    assert str(schedules.get(account.actor, one).last_export_id) == export


def test_the_duty_comes_often_enough_to_be_in_time() -> None:
    assert timedelta(seconds=due.duty().every) <= timedelta(minutes=5)


@pytest.mark.actor()
@pytest.mark.parametrize(
    ("begins", "daily", "changes", "later", "days"),
    [
        (
            "2027-01-04T12:00:00",
            "2027-01-05T06:00:01",  # Tuesday: of Monday
            {"frequency": "weekly", "weekday": "monday"},
            "2027-01-11T06:00:01",
            ("2027-01-04T00:00:00.000Z", "2027-01-11T00:00:00.000Z"),
        ),
        (
            "2027-02-01T12:00:00",
            "2027-02-02T06:00:01",
            {"frequency": "monthly", "day": 1},
            "2027-03-01T06:00:01",
            ("2027-02-01T00:00:00.000Z", "2027-03-01T00:00:00.000Z"),
        ),
    ],
)
def test_a_longer_period_that_begins_as_one_before_did_is_asked_for_too(
    account: Account, at: Any, asked: Asked, begins: str, daily: str, changes: Any, later: str, days: Any
) -> None:
    at(begins)
    one = make_schedule(account.actor)
    at(daily)
    due.sweep()
    assert len(asked()) == 1
    schedules.update(account.actor, one, changes)
    at(later)
    due.sweep()
    assert [(each["start_date"], each["end_date"]) for each in asked()][1:] == [days]
