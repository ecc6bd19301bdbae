"""Invitations: made out to an e-mail address, good once, for a week.

They lie inside the organization, so that accepting one takes it and makes the member in the same update; and so
that one address has one, of which the newest wins. Of the token that is mailed only the SHA-256 is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.core import clock, crypto, ids
from devicehub.core.actor import Actor, Role
from devicehub.core.errors import DeviceHubError, InsufficientRole
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.mail import service as mail
from devicehub.organizations import members
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import AlreadyMember, InvitationNotFound, OrganizationNotFound, TooMany
from devicehub.organizations.models import Organization
from devicehub.organizations.service import Filter, held, roles_from
from devicehub.users import service as users
from devicehub.users.models import User

PREFIX = "dhi"
LIFE = timedelta(days=7)
MOST_OPEN = 100
MOST_MEMBERS = 1000  # they lie in one document


def find(actor: Actor, page: Page) -> tuple[list[dict[str, Any]], int]:
    """A page of the open invitations to the caller's organization, newest first, and how many there are."""
    row = _row(actor.organization_id) or {}
    moment = clock.now()
    still_open = [one for one in row.get("invitations", []) if one["expires_at"] > moment]
    newest = sorted(still_open, key=lambda one: (one["created_at"], one["invitation_id"]), reverse=True)
    return [_describe(one) for one in newest[page.skip : page.skip + page.limit]], len(newest)


def create(actor: Actor, *, email: str, role: Role) -> dict[str, Any]:
    """Invite somebody into the caller's organization and mail them the token; an earlier invitation is void.

    Raises AlreadyMember, TooMany, and InsufficientRole for a role above the caller's own.
    """
    if not actor.is_at_least(role):
        raise InsufficientRole(role=role)
    address, token = email.lower(), f"{PREFIX}_{crypto.random_token()}"
    guest = users.find_by_email(address)
    invitation = _new(actor, address, role, token)
    changes = {"email": address, "role": role}
    with audit.intended(actor, "invitation.created", target=str(invitation["invitation_id"]), changes=changes):
        row = _put(actor, invitation, guest)
    inviter = users.get(actor.user_id).name
    _mail(invitation, row["name"], inviter, token, guest)
    emit(
        "invitation.created",
        actor,
        invitation_id=str(invitation["invitation_id"]),
        role=role,
        guest_id=str(guest.id) if guest else None,
        organization_name=row["name"],
        inviter_name=inviter,
    )
    return _describe(invitation)


def _new(actor: Actor, address: str, role: Role, token: str) -> dict[str, Any]:
    moment = clock.now()
    return {
        "invitation_id": ObjectId(),
        "email": address,
        "role": role,
        "token_hash": crypto.sha256(token),
        "invited_by": ObjectId(actor.user_id),
        "created_at": moment,
        "expires_at": moment + LIFE,
    }


def _put(actor: Actor, invitation: dict[str, Any], guest: User | None) -> dict[str, Any]:
    """Put an invitation in the place of the same address's, and of those that have expired."""
    others = {"$and": [{"$ne": ["$$this.email", {"$literal": invitation["email"]}]},
                       {"$gt": ["$$this.expires_at", invitation["created_at"]]}]}  # fmt: skip
    kept = {"$filter": {"input": {"$ifNull": ["$invitations", []]}, "cond": others}}
    allowed: Filter = {
        "_id": ObjectId(actor.organization_id),
        "members": held(ObjectId(actor.user_id), *roles_from(actor.role)),
        "$expr": {"$lt": [{"$size": kept}, MOST_OPEN]},
    }
    if guest is not None:
        allowed["members.user_id"] = {"$ne": guest.id}
    row: dict[str, Any] | None = Organization._get_collection().find_one_and_update(
        allowed,
        [{"$set": {"invitations": {"$concatArrays": [kept, [{"$literal": invitation}]]}}}],
        projection={"name": 1},
    )
    if row is None:
        raise _why_not_put(actor, guest)
    return row


def _why_not_put(actor: Actor, guest: User | None) -> DeviceHubError:
    row = _row(actor.organization_id)
    roles = {member["user_id"]: member["role"] for member in row["members"]} if row else {}
    if ObjectId(actor.user_id) not in roles:
        return OrganizationNotFound(organization_id=actor.organization_id)
    if guest is not None and guest.id in roles:
        return AlreadyMember()
    if roles[ObjectId(actor.user_id)] not in roles_from(actor.role):
        return InsufficientRole(role=actor.role)
    return TooMany(limit=MOST_OPEN, things="open invitations")


def _mail(invitation: dict[str, Any], name: str, inviter: str, token: str, guest: User | None) -> None:
    mail.send(
        "invitation",
        invitation["email"],
        {
            "organizationName": name,
            "inviterName": inviter,
            "role": invitation["role"],
            "token": token,
            "expiresAt": clock.rfc3339(invitation["expires_at"]),
        },
        key=f"invitation:{invitation['invitation_id']}",
        user_id=str(guest.id) if guest else None,
        dies_at=invitation["expires_at"],
    )


def revoke(actor: Actor, invitation_id: str) -> None:
    """Take an open invitation to the caller's organization back; raises InvitationNotFound."""
    wanted = ids.parse(invitation_id)
    if wanted is None:
        raise InvitationNotFound()
    with audit.intended(actor, "invitation.revoked", target=invitation_id):
        mine = organizations.held_by(actor, "admin") | {"invitations.invitation_id": wanted}
        revoked = {"$pull": {"invitations": {"invitation_id": wanted}}}
        if not Organization._get_collection().update_one(mine, revoked).modified_count:
            raise organizations.why_not(actor, "admin", otherwise=InvitationNotFound())
    emit("invitation.revoked", actor, invitation_id=str(wanted))


@dataclass(frozen=True, slots=True)
class Open:
    """An invitation that can be accepted right now."""

    organization_id: str
    invitation_id: ObjectId
    role: Role


def open_to(email: str, token: str) -> Open:
    """The open invitation of this token; raises InvitationNotFound, also when it is another address's."""
    hashed, moment = crypto.sha256(token), clock.now()
    mine = {"token_hash": hashed, "email": email.lower(), "expires_at": {"$gt": moment}}
    inviting = Organization.objects(__raw__={"invitations": {"$elemMatch": mine}})
    found: Organization | None = inviting.fields(elemMatch__invitations={"token_hash": hashed}).first()
    if found is None:
        raise InvitationNotFound()
    [invitation] = found.invitations
    return Open(str(found.id), invitation.invitation_id, invitation.role)


def accept(actor: Actor, token: str) -> tuple[Organization, Role]:
    """Join the organization that the caller is invited to; raises InvitationNotFound, AlreadyMember or TooMany."""
    organizations.require_person(actor)
    invitation = open_to(users.get(actor.user_id).email, token)
    take(replace(actor, organization_id=invitation.organization_id, role=invitation.role), invitation)
    return organizations.get_for(actor.user_id, invitation.organization_id)


def take(actor: Actor, invitation: Open) -> None:
    """Make `actor`, who is bound to the organization already, a member of it: once, whoever else tries."""
    invitation_id, member_id = invitation.invitation_id, ObjectId(actor.user_id)
    with audit.intended(actor, "invitation.accepted", target=str(invitation_id), changes={"role": actor.role}):
        moment = clock.now()
        allowed = {
            "_id": ObjectId(actor.organization_id),
            "invitations": {"$elemMatch": {"invitation_id": invitation_id, "expires_at": {"$gt": moment}}},
            "members.user_id": {"$ne": member_id},
            f"members.{MOST_MEMBERS - 1}": {"$exists": False},
        }
        member = {"user_id": member_id, "role": actor.role, "joined_at": moment}
        joined = {"$pull": {"invitations": {"invitation_id": invitation_id}}, "$push": {"members": member}}
        if not Organization._get_collection().update_one(allowed, joined).modified_count:
            raise _why_not_taken(actor)
    users.forget([actor.user_id])  # one more organization: nothing that his tokens say has changed
    emit("invitation.accepted", actor, invitation_id=str(invitation_id))
    members.tell("member.added", actor, member_id, actor.role)


def _why_not_taken(actor: Actor) -> DeviceHubError:
    present = [member["user_id"] for member in (_row(actor.organization_id) or {}).get("members", [])]
    if ObjectId(actor.user_id) in present:
        return AlreadyMember()
    if len(present) >= MOST_MEMBERS:
        return TooMany(limit=MOST_MEMBERS, things="members of an organization")
    return InvitationNotFound()


def _row(organization_id: str) -> dict[str, Any] | None:
    wanted = Organization.objects(id=ObjectId(organization_id))
    row: dict[str, Any] | None = wanted.only("members", "invitations").as_pymongo().first()
    return row


def _describe(invitation: Mapping[str, Any]) -> dict[str, Any]:
    """An invitation as `InvitationSchema` shows one."""
    return {
        "id": str(invitation["invitation_id"]),
        "email": invitation["email"],
        "role": invitation["role"],
        "invited_by": str(invitation["invited_by"]),
        "created_at": invitation["created_at"],
        "expires_at": invitation["expires_at"],
    }
