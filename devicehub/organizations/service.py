"""Organizations: making, reading, renaming them, and what their members are there."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.audit import service as audit
from devicehub.core import clock, ids
from devicehub.core.actor import ROLES, Actor, Role, at_least
from devicehub.core.errors import DeviceHubError, Forbidden, InsufficientRole, PreconditionFailed
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.organizations.errors import OrganizationNotFound, TooMany
from devicehub.organizations.models import PERMISSIONS, Member, Organization
from devicehub.users import service as users
from devicehub.users.models import User

MOST_OWNED = 50

Filter = dict[str, Any]


def create(
    *,
    owner_id: ObjectId,
    name: str,
    personal: bool = False,
    timezone: str = "UTC",
    log_retention_days: int = 90,
    organization_id: ObjectId | None = None,
) -> Organization:
    """Make an organization with one member, its owner."""
    moment = clock.now()
    organization = Organization(
        id=organization_id or ObjectId(),
        name=name,
        personal=personal,
        timezone=timezone,
        log_retention_days=log_retention_days,
        members=[Member(user_id=owner_id, role="owner", joined_at=moment)],
        created_at=moment,
        updated_at=moment,
    )
    organization.save(force_insert=True)
    return organization


def create_own(
    actor: Actor, fields: Mapping[str, Any], *, organization_id: ObjectId | None = None
) -> Organization:
    """Make an organization that the caller owns; raises TooMany, and Forbidden when a key asks.

    `organization_id` is given when the same request may come twice: the second finds what the first made.
    """
    require_person(actor)
    owner_id = ObjectId(actor.user_id)
    try:
        organization = create(owner_id=owner_id, organization_id=organization_id, **fields)
    except NotUniqueError:
        return get(replace(actor, organization_id=str(organization_id)))
    # Counted after the write: of two that are made at once, none makes it one too many.
    if Organization.objects(__raw__={"members": held(owner_id, "owner")}).count() > MOST_OWNED:
        discard(organization)
        raise TooMany(limit=MOST_OWNED, things="organizations of one owner")
    users.forget([actor.user_id])
    there = replace(actor, organization_id=str(organization.id), role="owner")
    audit.record(there, "organization.created", target=there.organization_id)
    emit("organization.created", there, organization_id=there.organization_id)
    return organization


def discard(organization: Organization) -> None:
    """Take back an organization that was made for what did not come about."""
    Organization.objects(id=organization.id).delete()


def give_home(user: User) -> None:
    """Give somebody who belongs to no organization any more one of their own, as at sign-up.

    Whoever was removed from their only one could otherwise never sign in again, nor accept an invitation. Two that
    do it at once make the same one; leaving it raises `token_version`, so the next home is another.
    """
    if memberships(str(user.id)):
        return
    home_id = ids.derived(f"home:{user.id}", user.token_version)
    try:
        create(owner_id=user.id, name=home_name(user.name), personal=True, organization_id=home_id)
    except NotUniqueError:
        return
    users.forget([str(user.id)])


def home_name(name: str) -> str:
    """What the organization of somebody's own is called unless they name it."""
    return f"{name}'s devices"


def require_person(actor: Actor) -> None:
    """Raise Forbidden when a key asks: it is bound to the organization it was made in."""
    if actor.kind != "user":
        raise Forbidden()


def memberships(user_id: str) -> dict[str, Role]:
    """The role of a user in each of their organizations, oldest first."""
    return {str(organization.id): organization.members[0].role for organization in _of(user_id)}


def still(user_id: str, organization_id: str) -> str:
    """An organization if the user still belongs to it, else their first one; "" for who belongs to none."""
    present = memberships(user_id)
    return organization_id if organization_id in present else next(iter(present), "")


def joined(user_id: str) -> dict[str, tuple[Role, datetime]]:
    """The role of a user in each of their organizations, and since when they belong to it."""
    return {str(one.id): (one.members[0].role, one.members[0].joined_at) for one in _of(user_id)}


def _of(user_id: str) -> Any:
    """The organizations of a user, oldest first; of the members of each only the user."""
    wanted = ObjectId(user_id)
    own = Organization.objects(members__user_id=wanted).order_by("id")
    return own.fields(elemMatch__members={"user_id": wanted}, invitations=0)


def find(actor: Actor, page: Page) -> tuple[list[dict[str, Any]], int]:
    """A page of the organizations the caller belongs to, and how many there are; of a key, its own."""
    own = _of(actor.user_id)
    if actor.kind != "user":
        own = own.filter(id=ObjectId(actor.organization_id))
    found = own.skip(page.skip).limit(page.limit)
    return [describe(organization, _role(actor, organization)) for organization in found], own.count()


def _role(actor: Actor, organization: Organization) -> Role:
    role: Role = organization.members[0].role
    return role if actor.kind == "user" else actor.role


def require(actor: Actor, organization_id: str, role: Role = "viewer") -> Actor:
    """The caller as they are in an organization, active or not: bound to it, with their role there.

    Raises OrganizationNotFound for a stranger's, and for any but its own when the caller is a key; raises
    InsufficientRole unless they have `role` or above there.
    """
    wanted = str(ids.parse(organization_id))
    if wanted != actor.organization_id:
        if actor.kind != "user":
            raise OrganizationNotFound(organization_id=organization_id)
        there = get_for(actor.user_id, organization_id)[1]
        actor = replace(actor, organization_id=wanted, role=there)
    if not actor.is_at_least(role):
        raise InsufficientRole(role=role)
    return actor


def is_there(organization_id: str) -> bool:
    """Whether there is such an organization, not deleted."""
    alive = Organization.objects(id=ObjectId(organization_id), deleted_at=None)
    return alive.only("id").first() is not None


def get(actor: Actor) -> Organization:
    """The caller's organization, with them as its only member; raises OrganizationNotFound."""
    return get_for(actor.user_id, actor.organization_id)[0]


def settings_of(organization_id: str) -> Organization:
    """An organization without its members, for who acts in it already; raises OrganizationNotFound."""
    wanted = Organization.objects(id=ObjectId(organization_id)).only("timezone", "log_retention_days")
    found: Organization | None = wanted.first()
    if found is None:
        raise OrganizationNotFound(organization_id=organization_id)
    return found


def owner_of(organization_id: ObjectId) -> ObjectId:
    """One of an organization's owners; raises OrganizationNotFound."""
    found: Organization | None = Organization.objects(id=organization_id, deleted_at=None).first()
    if found is None:
        raise OrganizationNotFound(organization_id=organization_id)
    owner: ObjectId = next(member.user_id for member in found.members if member.role == "owner")
    return owner


def all_ids() -> Iterator[ObjectId]:
    """Every organization there is, for what is done for each of them at night."""
    yield from Organization.objects(deleted_at=None).order_by("id").scalar("id")


def oldest_kept(organization: Organization) -> datetime:
    """From when on an organization's logs are kept: from the beginning of an hour."""
    moment = clock.now() - timedelta(days=organization.log_retention_days)
    return moment.replace(minute=0, second=0, microsecond=0)


def get_for(user_id: str, organization_id: str) -> tuple[Organization, Role]:
    """An organization and the user's role there; raises OrganizationNotFound for a stranger's."""
    wanted = ids.parse(organization_id)
    organization: Organization | None = _of(user_id).filter(id=wanted).first() if wanted else None
    if organization is None:
        raise OrganizationNotFound(organization_id=organization_id)
    return organization, organization.members[0].role


def permissions(role: Role) -> dict[str, bool]:
    """Of everything one may do in an organization, whether `role` may."""
    return {name: at_least(role, least) for name, least in PERMISSIONS.items()}


def update(actor: Actor, changes: Mapping[str, Any], *, revision: int | None = None) -> Organization:
    """Rename the caller's organization or change its settings; an empty change is none.

    Raises OrganizationNotFound, InsufficientRole, or PreconditionFailed when `revision` is not its own any more.
    """
    mine = Organization.objects(__raw__=held_by(actor, "admin"))
    if revision is not None:
        mine = mine.filter(revision=revision)
    if not changes:
        return _unless_none(actor, mine.first())
    with audit.intended(actor, "organization.updated", target=actor.organization_id, changes=changes):
        stored = {**changes, "updated_at": clock.now()}
        organization = _unless_none(
            actor, mine.modify(new=True, __raw__={"$set": stored, "$inc": {"revision": 1}})
        )
    emit("organization.updated", actor, organization_id=actor.organization_id, changes=dict(changes))
    return organization


def _unless_none(actor: Actor, found: Organization | None) -> Organization:
    if found is None:
        raise why_not(actor, "admin", otherwise=PreconditionFailed())
    return found


def held(user_id: ObjectId, *roles: Role) -> Filter:
    """The condition on `members` that a user is one of them, in one of these roles."""
    return {"$elemMatch": {"user_id": user_id, "role": {"$in": list(roles)}}}


def held_by(actor: Actor, role: Role) -> Filter:
    """The caller's organization, if they still have `role` or above in it."""
    return {"_id": ObjectId(actor.organization_id), "members": held(ObjectId(actor.user_id), *roles_from(role))}


def roles_from(role: Role) -> Iterable[Role]:
    """The roles that may do what `role` may."""
    return ROLES[ROLES.index(role) :]


def why_not(actor: Actor, role: Role, *, otherwise: DeviceHubError) -> DeviceHubError:
    """Why a conditional update that needs `role` did not find the caller's organization, if not `otherwise`."""
    try:
        present = get_for(actor.user_id, actor.organization_id)[1]
    except OrganizationNotFound as error:
        return error
    return otherwise if at_least(present, role) else InsufficientRole(role=role)


def modified_at(organization: Organization) -> datetime:
    """When what its only member here is shown of it has last changed: the organization, or their own role."""
    [member] = organization.members
    return max(organization.updated_at, member.joined_at, member.role_at or member.joined_at)


def describe(organization: Organization, role: Role) -> dict[str, Any]:
    """An organization as `OrganizationSchema` shows it to a member."""
    return {
        "id": str(organization.id),
        "name": organization.name,
        "personal": organization.personal,
        "timezone": organization.timezone,
        "log_retention_days": organization.log_retention_days,
        "role": role,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
    }
