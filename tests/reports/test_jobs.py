"""Schedules go with the organization, and with one's membership; and keep to its zone."""

from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.organizations import deletions, members
from devicehub.organizations import service as organizations
from devicehub.reports import schedules
from devicehub.reports.models import Schedule
from tests.factories import Account, join, make_account, make_schedule
from tests.jobs.inline import run_due_jobs


def left() -> set[str]:
    return {str(one.id) for one in Schedule.objects}


@pytest.mark.actor()
def test_those_of_a_deleted_organization_are_gone_and_counted(account: Account) -> None:
    spare = organizations.require(
        account.actor, str(organizations.create_own(account.actor, {"name": "Spare"}).id)
    )
    kept = make_schedule(account.actor)
    for _ in range(2):
        make_schedule(spare)
    receipt = deletions.delete(spare)
    run_due_jobs()
    done = deletions.get(account.actor, receipt["receipt_id"])
    assert (done["status"], done["counts"]["reportSchedules"]) == ("completed", 2)
    assert left() == {kept}


@pytest.mark.actor()
def test_those_of_somebody_who_left_are_gone_and_others_stay(account: Account) -> None:
    guest = make_account(role="viewer", organization_id=account.actor.organization_id)
    kept = make_schedule(account.actor)
    make_schedule(guest.actor)
    members.remove(account.actor, guest.actor.user_id)
    run_due_jobs()
    assert left() == {kept}


@pytest.mark.actor()
def test_who_is_back_before_it_was_done_keeps_them(account: Account) -> None:
    guest = make_account(role="viewer", organization_id=account.actor.organization_id)
    one = make_schedule(guest.actor)
    members.remove(account.actor, guest.actor.user_id)
    join(guest, account.actor.organization_id, role="viewer")
    run_due_jobs()
    assert left() == {one}


@pytest.mark.actor()
def test_another_zone_of_the_organization_is_followed_and_another_name_changes_nothing(
    client: FlaskClient, account: Account
) -> None:
    one = make_schedule(account.actor)
    before = schedules.get(account.actor, one).next_run_at
    path = f"/api/organizations/{account.actor.organization_id}"
    for changes in ({"name": "Renamed"}, {"timezone": "Asia/Kathmandu"}):
        assert schedules.get(account.actor, one).next_run_at == before
        assert client.patch(path, json=changes).status_code == 200
        run_due_jobs("reports.keep_zone")
    after: Any = schedules.get(account.actor, one).next_run_at
    assert (after - before).total_seconds() % 86_400 == 86_400 - (5 * 3600 + 45 * 60)
    assert Schedule.objects(id=ObjectId(one)).count() == 1
