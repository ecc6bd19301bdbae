"""Rules that no door shows: who somebody is in an organization, and that a key reaches no further than its own."""

from dataclasses import replace

import pytest
from bson import ObjectId

from devicehub.audit.models import AuditEntry
from devicehub.core.actor import Actor
from devicehub.core.errors import Forbidden, InsufficientRole
from devicehub.core.paging import Page
from devicehub.organizations import deletions, invitations, members
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import DeletionNotFound, LastOwner, OrganizationNotFound
from tests.factories import Account, invite, join, make_account

pytestmark = pytest.mark.actor()


@pytest.fixture
def other(account: Account) -> str:
    """Another organization, that the caller is an admin of."""
    organization_id = make_account().actor.organization_id
    join(account, organization_id, role="admin")
    return organization_id


@pytest.fixture
def key(actor: Actor) -> Actor:
    """A key of the caller's, an owner, that is made out for less."""
    return replace(actor, kind="api_key", role="admin", session_id=None)


def test_one_is_bound_with_the_role_one_has_there(actor: Actor, other: str) -> None:
    assert organizations.require(actor, other, "admin") == replace(actor, organization_id=other, role="admin")
    assert organizations.require(actor, other.upper()).organization_id == other
    assert organizations.require(actor, actor.organization_id, "owner") == actor
    with pytest.raises(InsufficientRole):
        organizations.require(actor, other, "owner")


@pytest.mark.parametrize("odd", ["", "x", "65f0a1b2c3d4e5f6a7b8c9d2", "None"])
def test_where_one_is_not_a_member_is_nowhere(actor: Actor, odd: str) -> None:
    with pytest.raises(OrganizationNotFound):
        organizations.require(actor, odd)


def test_a_key_is_bound_to_its_own_organization(key: Actor, other: str) -> None:
    assert organizations.require(key, key.organization_id, "admin") == key
    with pytest.raises(InsufficientRole):
        organizations.require(key, key.organization_id, "owner")
    with pytest.raises(OrganizationNotFound):
        organizations.require(key, other)
    rows, total = organizations.find(key, Page())
    assert [(row["id"], row["role"]) for row in rows] == [(key.organization_id, "admin")]
    assert total == 1


def test_a_key_neither_makes_nor_joins_an_organization(key: Actor, account: Account) -> None:
    token = invite(make_account().actor, account.email)
    with pytest.raises(Forbidden):
        organizations.create_own(key, {"name": "Engines"})
    with pytest.raises(Forbidden):
        invitations.accept(key, token)
    assert len(organizations.memberships(key.user_id)) == 1


def test_a_key_has_no_more_rights_over_members_than_it_was_made_out_for(key: Actor, account: Account) -> None:
    second = make_account(role="owner", organization_id=key.organization_id)
    viewer = make_account(role="viewer", organization_id=key.organization_id)
    for act in (
        lambda: members.change_role(key, second.actor.user_id, "viewer"),
        lambda: members.change_role(key, viewer.actor.user_id, "owner"),
        lambda: members.remove(key, second.actor.user_id),
        lambda: members.remove(key, account.actor.user_id),
        lambda: members.remove(replace(key, role="viewer"), viewer.actor.user_id),
        lambda: invitations.create(key, email="grace@example.com", role="owner"),
    ):
        with pytest.raises(InsufficientRole):
            act()
    assert members.change_role(key, viewer.actor.user_id, "operator")["role"] == "operator"


def test_a_key_reads_no_receipt(key: Actor, actor: Actor) -> None:
    made = organizations.create_own(actor, {"name": "Engines"})
    receipt = deletions.delete(organizations.require(actor, str(made.id)))
    with pytest.raises(DeletionNotFound):
        deletions.get(key, receipt["receipt_id"])


@pytest.mark.parametrize("present", ["operator", None])
def test_who_has_lost_their_right_in_this_moment_changes_nothing(actor: Actor, present: str | None) -> None:
    """A guard has let them through; the update itself asks again."""
    admin = make_account(role="admin", organization_id=actor.organization_id).actor
    viewer = make_account(role="viewer", organization_id=actor.organization_id).actor
    invitation = invitations.create(actor, email="grace@example.com", role="viewer")["id"]
    if present is None:
        members.remove(actor, admin.user_id)
    else:
        members.change_role(actor, admin.user_id, "operator")
    refusal = OrganizationNotFound if present is None else InsufficientRole
    for act in (
        lambda: members.change_role(admin, viewer.user_id, "admin"),
        lambda: members.remove(admin, viewer.user_id),
        lambda: invitations.create(admin, email="mary@example.com", role="viewer"),
        lambda: invitations.revoke(admin, invitation),
        lambda: organizations.update(admin, {"name": "Mine"}),
        lambda: organizations.update(admin, {}),
    ):
        with pytest.raises(refusal):
            act()
    assert [row["role"] for row in members.find(actor, Page())[0]][-1] == "viewer"
    assert invitations.find(actor, Page())[1] == 1
    assert organizations.get(actor).name != "Mine"


def test_who_did_what_stands_in_the_trail_of_the_organization(actor: Actor) -> None:
    """What is privileged with its intent, before and after; also what was refused, and after the end."""
    there = organizations.require(actor, str(organizations.create_own(actor, {"name": "Engines"}).id))
    guest = make_account()
    organizations.update(there, {"name": "Looms"})
    invited = invitations.create(there, email="grace@example.com", role="viewer")
    invitations.revoke(there, invited["id"])
    invitations.accept(guest.actor, invite(there, guest.email))
    members.change_role(there, guest.actor.user_id, "admin")
    with pytest.raises(LastOwner):
        members.change_role(there, there.user_id, "viewer")
    members.remove(there, guest.actor.user_id)
    deletions.delete(there)
    kept = AuditEntry.objects.visible_to(there).order_by("sequence").as_pymongo()
    told = [(entry["action"], entry["outcome"]) for entry in kept if entry["outcome"] != "intended"]
    assert told == [
        ("organization.created", "done"),
        ("organization.updated", "done"),
        ("invitation.created", "done"),
        ("invitation.revoked", "done"),
        ("invitation.created", "done"),
        ("invitation.accepted", "done"),
        ("member.added", "done"),
        ("member.role_changed", "done"),
        ("member.role_changed", "failed"),
        ("member.removed", "done"),
        ("organization.deleted", "done"),
    ]
    intents = [entry for entry in kept if entry["outcome"] == "intended"]
    assert len(intents) == len(told) - 2  # making one and being added need none
    by_action = {entry["action"]: entry for entry in intents}
    assert by_action["organization.updated"]["changes"] == {"name": "Looms"}
    assert by_action["member.removed"]["target"] == guest.actor.user_id
    assert by_action["invitation.accepted"]["actor_id"] == ObjectId(guest.actor.user_id)
