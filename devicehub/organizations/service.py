"""Organizations: who belongs to which, and as what."""

from typing import Any

from bson import ObjectId

from devicehub.core import clock, ids
from devicehub.core.actor import Actor, Role
from devicehub.core.errors import NotFound
from devicehub.organizations.models import Member, Organization


class OrganizationNotFound(NotFound):
    code = "ORGANIZATION_NOT_FOUND"
    title = "Organization not found"
    detail = "No organization {organization_id} of yours."


def create(*, owner_id: ObjectId, name: str, personal: bool = False) -> Organization:
    """Make an organization with one member, its owner."""
    moment = clock.now()
    organization = Organization(
        name=name,
        personal=personal,
        members=[Member(user_id=owner_id, role="owner", joined_at=moment)],
        created_at=moment,
        updated_at=moment,
    )
    organization.save(force_insert=True)
    return organization


def discard(organization: Organization) -> None:
    """Take back an organization that was made for a sign-up that did not come about."""
    Organization.objects(id=organization.id).delete()


def memberships(user_id: str) -> dict[str, Role]:
    """The role of a user in each of their organizations, oldest first."""
    rows = Organization.objects(members__user_id=ObjectId(user_id)).order_by("id").only("members").as_pymongo()
    wanted = ObjectId(user_id)
    return {
        str(row["_id"]): member["role"] for row in rows for member in row["members"] if member["user_id"] == wanted
    }


def get_for(user_id: str, organization_id: str) -> tuple[Organization, Role]:
    """An organization and the user's role there; raises OrganizationNotFound for a stranger's."""
    wanted, member_id = ids.parse(organization_id), ObjectId(user_id)
    organization: Organization | None = (
        Organization.objects(id=wanted, members__user_id=member_id).first() if wanted else None
    )
    if organization is None:
        raise OrganizationNotFound(organization_id=organization_id)
    role: Role = next(member.role for member in organization.members if member.user_id == member_id)
    return organization, role


def require_member(actor: Actor, organization_id: str) -> Role:
    """The caller's role in an organization; raises OrganizationNotFound when there is none.

    A key belongs to one organization and knows of no other, whatever else its owner is a member of.
    """
    if actor.kind != "user" and organization_id != actor.organization_id:
        raise OrganizationNotFound(organization_id=organization_id)
    return get_for(actor.user_id, organization_id)[1]


def describe(organization: Organization, role: Role) -> dict[str, Any]:
    """An organization as `OrganizationSchema` shows it to a member."""
    return {
        "id": str(organization.id),
        "name": organization.name,
        "role": role,
        "created_at": organization.created_at,
    }
