"""What was told of an organization goes with it, and with one's membership."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from devicehub.jobs.registry import registered
from devicehub.notifications import purges
from devicehub.organizations import deletions, members
from devicehub.organizations import service as organizations
from tests.factories import Account, join, log_in, make_account, make_notification
from tests.jobs.inline import run_due_jobs
from tests.mail.conftest import Context

AT = "/api/notifications"


@pytest.fixture
def left_of(client_of: Callable[[Account], FlaskClient]) -> Callable[[Account], list[str]]:
    """The ids of what somebody still finds."""
    return lambda account: [item["id"] for item in client_of(account).get(AT).json["items"]]


@pytest.mark.actor()
def test_of_a_deleted_organization_nothing_is_left_and_the_receipt_counts_it(
    account: Account, left_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purges, "BATCH", 2)
    spare = organizations.require(
        account.actor, str(organizations.create_own(account.actor, {"name": "Spare"}).id)
    )
    guests = [make_account() for _ in range(4)]
    kept = {guest.email: make_notification(guest, organization_id=guest.actor.organization_id) for guest in guests}
    for guest in (*guests, guests[0]):
        make_notification(guest, organization_id=spare.organization_id)
    receipt = deletions.delete(spare)
    run_due_jobs()
    done = deletions.get(account.actor, receipt["receipt_id"])
    assert (done["status"], done["counts"]["notifications"]) == ("completed", 5)
    assert {guest.email: left_of(guest) for guest in guests} == {email: [one] for email, one in kept.items()}
    registered("notifications.purge_organization").work(Context(_arguments(receipt)))  # a job may be done twice
    assert deletions.get(account.actor, receipt["receipt_id"]) == done


def _arguments(receipt: dict[str, Any]) -> dict[str, Any]:
    return {"organization_id": receipt["organization_id"], "receipt_id": receipt["receipt_id"]}


@pytest.mark.actor()
def test_whoever_is_removed_keeps_what_is_of_elsewhere(account: Account, left_of: Any) -> None:
    guest = make_account()
    join(guest, account.actor.organization_id, role="viewer")
    kept = make_notification(guest)
    make_notification(guest, organization_id=account.actor.organization_id)
    theirs = make_notification(account, organization_id=account.actor.organization_id)
    members.remove(account.actor, guest.actor.user_id)
    run_due_jobs()
    assert left_of(account) == [theirs]
    assert left_of(log_in(guest.email)) == [kept]
