"""Signing up and signing in."""

from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.auth import known_devices, lockout, passwords, revocation, sessions
from devicehub.auth.errors import EmailAlreadyExists, InvalidCredentials, RoleNotYours
from devicehub.auth.sessions import Grant
from devicehub.core import clock
from devicehub.core.actor import Actor, Role
from devicehub.core.events import emit
from devicehub.mail import service as mail
from devicehub.organizations import invitations
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import InvitationNotFound, TooMany
from devicehub.organizations.invitations import Open
from devicehub.organizations.models import Organization
from devicehub.users.models import User


@dataclass(frozen=True, slots=True)
class SignUp:
    user: User
    organization: Organization
    role: Role


def sign_up(
    *,
    name: str,
    email: str,
    password: str,
    organization_name: str | None = None,
    invitation_token: str | None = None,
    role: str | None = None,
) -> SignUp:
    """Make an account and the organization it owns; or let it join the one it is invited to.

    Raises EmailAlreadyExists, UnfitPassword, InvitationNotFound, and RoleNotYours for any `role` but "user".
    """
    if role not in (None, "user"):
        raise RoleNotYours()
    address = email.lower()
    passwords.check(password, name=name, email=address)
    if User.objects(email=address).only("id").first() is not None:
        raise EmailAlreadyExists()
    invitation = invitations.open_to(address, invitation_token) if invitation_token is not None else None
    moment = clock.now()
    user = User(
        id=ObjectId(),
        name=name,
        email=address,
        password_hash=passwords.hash_password(password),
        created_at=moment,
        updated_at=moment,
    )
    if invitation is None:
        made = _with_organization(user, organization_name or organizations.home_name(name))
    else:
        made = _as_member(user, invitation)
    emit("user.signed_up", Actor(str(user.id), str(made.organization.id), made.role), user_id=str(user.id))
    return made


def _with_organization(user: User, name: str) -> SignUp:
    # The account comes last: whoever can sign in has an organization, even if we die in between.
    organization = organizations.create(owner_id=user.id, name=name, personal=True)
    try:
        user.save(force_insert=True)
    except NotUniqueError as error:
        organizations.discard(organization)
        raise EmailAlreadyExists() from error
    return SignUp(user, organization, "owner")


def _as_member(user: User, invitation: Open) -> SignUp:
    # Here the account comes first, for the invitation is good once. If we die in between, it is still open.
    try:
        user.save(force_insert=True)
    except NotUniqueError as error:
        raise EmailAlreadyExists() from error
    try:
        invitations.take(Actor(str(user.id), invitation.organization_id, invitation.role), invitation)
    except (InvitationNotFound, TooMany):
        User.objects(id=user.id).delete()
        raise
    return SignUp(user, *organizations.get_for(str(user.id), invitation.organization_id))


def log_in(
    *, email: str, password: str, ip: str | None, user_agent: str | None, device_token: str | None = None
) -> Grant:
    """Open a session, and make the device it is on a known one.

    Raises InvalidCredentials, after the same time for a known and an unknown address, and AccountLocked.
    """
    address = email.lower()
    device_id = known_devices.recognize(device_token, address)
    place = lockout.device(address, device_id) if device_id else lockout.network(address, ip)
    lockout.admit(place)
    user: User | None = User.objects(email=address).first()
    lockout.verify(password, user.password_hash if user else None, place)
    if user is None:  # whose password is never right
        raise InvalidCredentials()
    organizations.give_home(user)
    is_news = device_id is None and not sessions.has_been_at(user, ip=ip, user_agent=user_agent)
    grant = sessions.open_session(user, ip=ip, user_agent=user_agent)
    emit("session.opened", _actor(grant), session_id=grant.session_id)
    if is_news and not _is_first(user):
        _tell_of_new_place(grant, user.email, ip=ip, user_agent=user_agent)
    return replace(grant, device_token=known_devices.issue(user, device_id))


def _tell_of_new_place(grant: Grant, email: str, *, ip: str | None, user_agent: str | None) -> None:
    session_id, user_id = grant.session_id, grant.user_id
    emit(
        "session.opened_from_new_place",
        _actor(grant),
        session_id=session_id,
        user_id=user_id,
        ip=ip,
        user_agent=user_agent,
    )
    facts = {"at": clock.rfc3339(clock.now()), "ip": ip, "userAgent": user_agent}
    mail.send("new_sign_in", email, facts, key=f"new_sign_in:{session_id}", user_id=user_id)


def _is_first(user: User) -> bool:
    """Whether nobody has ever signed in to this account before; true once."""
    never = User.objects(id=user.id, first_sign_in_at=None)
    return bool(never.update_one(set__first_sign_in_at=clock.now()))


def log_out_everywhere(actor: Actor) -> int:
    """End every session of the caller; returns how many there were."""
    ended = revocation.end_all(actor.user_id)
    emit("user.logged_out_everywhere", actor, user_id=actor.user_id, sessions=ended)
    return ended


def describe_grant(grant: Grant) -> dict[str, Any]:
    """The user and the active organization of a grant, as the answer to a sign-in shows them."""
    organization, role = organizations.get_for(grant.user_id, grant.organization_id)
    return {"user": grant.user, "organization": organizations.describe(organization, role)}


def _actor(grant: Grant) -> Actor:
    return Actor(grant.user_id, grant.organization_id, grant.role, session_id=grant.session_id)
