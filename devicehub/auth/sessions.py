"""Sessions: opening, rotation of their refresh tokens, the twin's grace, and theft.

Rotation is one conditional update; see RFC 9700 section 4.14 for why an old token ends its whole family.
"""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.auth import places, refresh_tokens, revocation
from devicehub.auth.errors import (
    InvalidRefreshToken,
    NotAMember,
    RefreshTokenReused,
    TokenRevoked,
)
from devicehub.auth.models import Session
from devicehub.core import clock, config, crypto
from devicehub.core.actor import Actor, Role
from devicehub.core.errors import Forbidden
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.mail import service as mail
from devicehub.organizations import service as organizations
from devicehub.users import service as users
from devicehub.users.models import User

TWIN_GRACE = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Grant:
    """A session just opened or renewed: all that a pair of tokens is made of."""

    user: User
    user_id: str
    organization_id: str
    role: Role
    session_id: str
    token_version: int
    refresh_token: str
    ends_at: datetime  # however often it is renewed
    device_token: str = ""  # of a grant for a password


def open_session(user: User, *, ip: str | None, user_agent: str | None) -> Grant:
    """Begin a session in the user's first organization; the least recently used beyond the limit ends."""
    settings, moment = config.current(), clock.now()
    memberships = organizations.memberships(str(user.id))
    if not memberships:
        raise NotAMember()
    ends_at = moment + timedelta(seconds=settings.session_max_age)
    session = Session(
        id=ObjectId(secrets.token_bytes(12)),  # the usual one counts: who signs in would know their neighbours'
        user_id=user.id,
        organization_id=ObjectId(next(iter(memberships))),
        salt=crypto.random_token(16),
        created_at=moment,
        last_seen_at=moment,
        expires_at=moment + timedelta(seconds=settings.refresh_token_ttl),
        ends_at=ends_at,
        ip=ip,
        user_agent=user_agent,
        place=places.fingerprint(ip, user_agent),
        password_version=user.password_version,
    )
    session.save(force_insert=True)
    surplus = (
        Session.objects.live_of(user.id)
        .order_by("-last_seen_at", "-id")
        .skip(settings.sessions_per_user)
        .scalar("id")
    )
    revocation.end_these(list(surplus), "limit")
    return _grant(user, session, memberships)


def has_been_at(user: User, *, ip: str | None, user_agent: str | None) -> bool:
    """Whether a session of the user's, of the last month, was used from this network with this browser."""
    place = places.fingerprint(ip, user_agent)
    return Session.objects(user_id=user.id, place=place).only("id").first() is not None


def rotate(token: str, *, ip: str | None, user_agent: str | None) -> Grant:
    """Exchange a refresh token for its successor.

    Raises InvalidRefreshToken, and RefreshTokenReused when the token is older than a twin's grace allows: then
    the whole session has been ended.
    """
    session, n = refresh_tokens.prove(token)
    present = Session.objects.live_of(session.user_id).filter(id=session.id, n=n)
    if not organizations.memberships(str(session.user_id)) and present.first() is not None:
        raise NotAMember()  # before the token is used up: nothing comes in its place
    successor = _step(present, ip=ip, user_agent=user_agent)
    if successor is None:
        successor = _twin_or_thief(session, n, ip=ip, user_agent=user_agent)
    user: User | None = User.objects(id=session.user_id).first()
    if user is None or user.password_version != session.password_version:
        raise InvalidRefreshToken()
    return _grant(user, successor, organizations.memberships(str(user.id)))


def switch(actor: Actor, organization_id: str, *, ip: str | None, user_agent: str | None) -> Grant:
    """Make another of the caller's organizations the active one of their session.

    Access tokens of before keep naming the one they were made for. Raises OrganizationNotFound for a stranger's.
    """
    organization, _ = organizations.get_for(actor.user_id, organization_id)
    session = _step(_own(actor), ip=ip, user_agent=user_agent, set__organization_id=organization.id)
    if session is None:
        raise TokenRevoked()
    return _grant(users.get(actor.user_id), session, organizations.memberships(actor.user_id))


def renew(user: User, actor: Actor, *, ip: str | None, user_agent: str | None) -> Grant:
    """Let the caller's session go on under a new password: no refresh token of before, nor a twin's, is good."""
    changes = {"set__salt": crypto.random_token(16), "set__password_version": user.password_version}
    session = _step(_own(actor), ip=ip, user_agent=user_agent, **changes)
    if session is None:
        raise TokenRevoked()
    return _grant(user, session, organizations.memberships(str(user.id)))


def id_of(actor: Actor) -> str:
    """The session the caller asks with; raises Forbidden for who asks without one."""
    if actor.session_id is None:
        raise Forbidden()
    return actor.session_id


def _own(actor: Actor) -> Any:
    return Session.objects.live_of(actor.user_id).filter(id=ObjectId(id_of(actor)))


def _step(one: Any, *, ip: str | None, user_agent: str | None, **changes: Any) -> Session | None:
    """Let a session take its next refresh token, in one conditional update; None if there is no such one."""
    moment = clock.now()
    slid = moment + timedelta(seconds=config.current().refresh_token_ttl)
    session: Session | None = one.modify(
        new=True,
        inc__n=1,
        set__rotated_at=moment,
        set__last_seen_at=moment,
        set__expires_at=slid,
        set__ip=ip,
        set__user_agent=user_agent,
        set__place=places.fingerprint(ip, user_agent),
        **changes,
    )
    return session


def _twin_or_thief(session: Session, n: int, *, ip: str | None, user_agent: str | None) -> Session:
    """Somebody rotated before us: a second tab of the same browser moments ago, or whoever stole the token."""
    session = Session.objects(id=session.id).first()
    moment = clock.now()
    if session is None or session.revoked_at or min(session.expires_at, session.ends_at) <= moment:
        raise InvalidRefreshToken()
    is_fresh = session.n == n + 1 and moment - session.rotated_at <= TWIN_GRACE
    if is_fresh and session.user_agent == user_agent:
        return session
    if session.n <= n:  # a token we have not handed out yet: only a restored backup knows such
        raise InvalidRefreshToken()
    if revocation.end_these([session.id], "reuse"):
        _tell_of_reuse(session, ip=ip, user_agent=user_agent)
    raise RefreshTokenReused()


def _tell_of_reuse(session: Session, *, ip: str | None, user_agent: str | None) -> None:
    """Let the owner know, and the audit trail: the older token may have been stolen, or the newer one."""
    actor, session_id = replace(revocation.owner(session), ip=ip), str(session.id)
    emit("session.reused", actor, session_id=session_id)
    audit.record(actor, "session.reused", target=session_id, outcome="refused")
    user: User | None = User.objects(id=session.user_id).only("email").first()
    if user is not None:
        facts = {"at": clock.rfc3339(clock.now()), "ip": ip, "userAgent": user_agent}
        mail.send("refresh_reused", user.email, facts, key=f"refresh_reused:{session_id}", user_id=actor.user_id)


def _grant(user: User, session: Session, memberships: dict[str, Role]) -> Grant:
    organization_id = str(session.organization_id)
    if organization_id not in memberships:
        if not memberships:
            raise NotAMember()
        organization_id = next(iter(memberships))
        Session.objects(id=session.id).update_one(set__organization_id=ObjectId(organization_id))
    return Grant(
        user=user,
        user_id=str(user.id),
        organization_id=organization_id,
        role=memberships[organization_id],
        session_id=str(session.id),
        token_version=user.token_version,
        refresh_token=refresh_tokens.spell(session),
        ends_at=session.ends_at,
    )


def find(actor: Actor, page: Page) -> dict[str, Any]:
    """The caller's live sessions, the one used last first."""
    live = Session.objects.live_of(actor.user_id)
    shown = live.order_by("-last_seen_at", "-id").skip(page.skip).limit(page.limit)
    return {
        "items": [_describe(session, actor) for session in shown],
        "pagination": page.describe(live.count()),
    }


def _describe(session: Session, actor: Actor) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "ip": session.ip,
        "userAgent": session.user_agent,
        "createdAt": clock.rfc3339(session.created_at),
        "lastUsedAt": clock.rfc3339(session.last_seen_at),
        "current": str(session.id) == actor.session_id,
    }
