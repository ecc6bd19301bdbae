"""Members: who belongs to an organization, in which role, and that an owner always remains.

Each change is one update whose filter proves all that it takes: the caller's right, the member's present role, and
another owner. So two owners who demote each other at once cannot both succeed.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.core import clock, ids
from devicehub.core.actor import ROLES, Actor, Role, at_least
from devicehub.core.errors import DeviceHubError, InsufficientRole
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.organizations.errors import LastOwner, MemberNotFound, OrganizationNotFound
from devicehub.organizations.models import Organization
from devicehub.organizations.service import Filter, held, roles_from
from devicehub.users import service as users
from devicehub.users.models import User

_BELOW_OWNER: tuple[Role, ...] = ("viewer", "operator", "admin")


def find(actor: Actor, page: Page) -> tuple[list[dict[str, Any]], int]:
    """A page of the members of the caller's organization, in the order they joined, and how many there are."""
    members = sorted(_members(actor), key=lambda member: (member["joined_at"], member["user_id"]))
    shown = members[page.skip : page.skip + page.limit]
    known = users.get_many(member["user_id"] for member in shown)
    rows = [_describe(member, known[member["user_id"]]) for member in shown if member["user_id"] in known]
    return rows, len(members)


def change_role(actor: Actor, user_id: str, role: Role) -> dict[str, Any]:
    """Give a member of the caller's organization another role.

    Raises MemberNotFound, LastOwner, or InsufficientRole: only an owner changes owners, or makes one.
    """
    member_id = _parsed(user_id)
    if not actor.is_at_least(role):
        raise InsufficientRole(role=role)
    proofs = _rights(actor, member_id)
    if role != "owner":
        proofs.append(_another_owner(member_id))
    change = {"$set": {"members.$[one].role": role, "members.$[one].role_at": clock.now()}}
    with audit.intended(actor, "member.role_changed", target=user_id, changes={"role": role}):
        member = _change(actor, member_id, proofs, change, [{"one.user_id": member_id}])
    if member["role"] != role:
        users.outdate_tokens([str(member_id)])
        tell("member.role_changed", actor, member_id, role)
    return _describe(member | {"role": role}, users.get(str(member_id)))


def remove(actor: Actor, user_id: str) -> None:
    """End a membership in the caller's organization; everybody may end their own.

    Raises MemberNotFound, LastOwner, or InsufficientRole.
    """
    member_id = _parsed(user_id)
    if str(member_id) != actor.user_id and not actor.is_at_least("admin"):
        raise InsufficientRole(role="admin")
    proofs = [*_rights(actor, member_id), _another_owner(member_id)]
    with audit.intended(actor, "member.removed", target=user_id):
        member = _change(actor, member_id, proofs, {"$pull": {"members": {"user_id": member_id}}})
    users.outdate_tokens([str(member_id)])
    tell("member.removed", actor, member_id, member["role"])


def tell(name: str, actor: Actor, member_id: ObjectId, role: Role) -> None:
    """Emit what became of a membership in the caller's organization."""
    emit(name, actor, user_id=str(member_id), organization_id=actor.organization_id, role=role)


def _parsed(user_id: str) -> ObjectId:
    wanted = ids.parse(user_id)
    if wanted is None:
        raise MemberNotFound(user_id=user_id)
    return wanted


def _rights(actor: Actor, member_id: ObjectId) -> list[Filter]:
    """What proves that the caller still is who they were, and that the member is within their reach."""
    reach = ROLES if actor.role == "owner" else _BELOW_OWNER
    return [held(ObjectId(actor.user_id), *roles_from(actor.role)), held(member_id, *reach)]


def _another_owner(member_id: ObjectId) -> Filter:
    return {"$elemMatch": {"user_id": {"$ne": member_id}, "role": "owner"}}


def _change(
    actor: Actor, member_id: ObjectId, proofs: list[Filter], change: Filter, places: list[Filter] | None = None
) -> dict[str, Any]:
    """Do it if all is proven; returns the member as it was before."""
    before: dict[str, Any] | None = Organization._get_collection().find_one_and_update(
        {"_id": ObjectId(actor.organization_id), "members": {"$all": proofs}},
        change,
        array_filters=places,
        projection={"members": held(member_id, *ROLES)},
    )
    if before is None:
        raise _why_not(actor, member_id)
    [member] = before["members"]
    return dict(member)


def _why_not(actor: Actor, member_id: ObjectId) -> DeviceHubError:
    roles = {member["user_id"]: member["role"] for member in _members(actor)}
    present = roles.get(ObjectId(actor.user_id))
    if present is None:
        return OrganizationNotFound(organization_id=actor.organization_id)
    if member_id not in roles:
        return MemberNotFound(user_id=member_id)
    if not at_least(present, actor.role):  # somebody has changed it in this moment
        return InsufficientRole(role=actor.role)
    if roles[member_id] == "owner" and actor.role != "owner":
        return InsufficientRole(role="owner")
    return LastOwner()


def _members(actor: Actor) -> list[dict[str, Any]]:
    row = Organization.objects(id=ObjectId(actor.organization_id)).only("members").as_pymongo().first()
    return row["members"] if row else []


def _describe(member: Mapping[str, Any], user: User) -> dict[str, Any]:
    """A member as `MemberSchema` shows one."""
    return {
        "user_id": str(user.id),
        "name": user.name,
        "email": user.email,
        "role": member["role"],
        "joined_at": member["joined_at"],
    }
