"""What the tests of the edge share."""

from collections.abc import Callable

import pytest
from bson import ObjectId

from devicehub.auth import standing
from devicehub.core import clock
from devicehub.organizations.models import Member, Organization
from tests.factories import Account, log_in, make_account


@pytest.fixture
def in_another_organization() -> Callable[[Account], Account]:
    """The same person, active in an organization of somebody else's that they have joined as an admin."""

    def join(account: Account) -> Account:
        member = Member(user_id=ObjectId(account.actor.user_id), role="admin", joined_at=clock.now())
        theirs = ObjectId(make_account().actor.organization_id)
        Organization.objects(id=theirs).update_one(push__members=member)
        Organization.objects(id=ObjectId(account.actor.organization_id)).update_one(
            pull__members__user_id=member.user_id
        )
        standing.forget_user(account.actor.user_id)
        return log_in(account.email)

    return join
