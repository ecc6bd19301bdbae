"""Sessions and their refresh tokens: opening, rotation, the twin's grace, theft, and the end.

A refresh token is `dhr1.<session>.<n>.<mac>`. Rotation is one conditional update; see RFC 9700 section 4.14 for
why an old token ends its whole family.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.auth import standing
from devicehub.auth.errors import InvalidRefreshToken, NotAMember, RefreshTokenReused
from devicehub.auth.models import Session
from devicehub.core import clock, config, crypto, ids, mongo
from devicehub.core.actor import Actor, Role
from devicehub.core.events import emit
from devicehub.organizations import service as organizations
from devicehub.users.models import User

PREFIX = "dhr1"
TWIN_GRACE = timedelta(seconds=10)
# A session is granted at most 30 access tokens a minute of 15 minutes each: the last 500 are all that may live.
MOST_REVOKED = 500
BATCH = 500


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
        expires_at=min(ends_at, moment + timedelta(seconds=settings.refresh_token_ttl)),
        ends_at=ends_at,
        ip=ip,
        user_agent=user_agent,
    )
    session.save(force_insert=True)
    surplus = _live(user.id).order_by("-last_seen_at", "-id").skip(settings.sessions_per_user).scalar("id")
    _end(list(surplus), "limit")
    return _grant(user, session, memberships)


def rotate(token: str, *, ip: str | None, user_agent: str | None) -> Grant:
    """Exchange a refresh token for its successor.

    Raises InvalidRefreshToken, and RefreshTokenReused when the token is older than a twin's grace allows: then
    the whole session has been ended.
    """
    session, n = _proven(token)
    moment = clock.now()
    slid = moment + timedelta(seconds=config.current().refresh_token_ttl)
    successor: Session | None = (
        _live(session.user_id)
        .filter(id=session.id, n=n)
        .modify(
            new=True,
            inc__n=1,
            set__rotated_at=moment,
            set__last_seen_at=moment,
            set__expires_at=min(session.ends_at, slid),
            set__ip=ip,
            set__user_agent=user_agent,
        )
    )
    if successor is None:
        successor = _twin_or_thief(session, n, user_agent)
    user: User | None = User.objects(id=session.user_id).first()
    if user is None:
        raise InvalidRefreshToken()
    return _grant(user, successor, organizations.memberships(str(user.id)))


def _twin_or_thief(session: Session, n: int, user_agent: str | None) -> Session:
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
    _end([session.id], "reuse")
    actor = Actor(str(session.user_id), str(session.organization_id), "viewer", session_id=str(session.id))
    emit("session.reused", actor, session_id=str(session.id))
    raise RefreshTokenReused()


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
        refresh_token=_token(session, session.n),
    )


def _token(session: Session, n: int) -> str:
    return f"{PREFIX}.{session.id}.{n}.{_mac(session, n)}"


def _mac(session: Session, n: int) -> str:
    return crypto.mac(config.current().jwt_refresh_secret, session.id, n, session.salt, _epoch())


def _epoch() -> int:
    """Raised when a backup is restored: or refresh tokens used since would live again."""
    row = mongo.database()["system"].find_one({"_id": "token_epoch"})
    return int(row["value"]) if row else 0


def _proven(token: str) -> tuple[Session, int]:
    """The session a refresh token belongs to, live or not, and its number; raises InvalidRefreshToken."""
    parts = token.split(".")
    if len(parts) != 4 or parts[0] != PREFIX:
        raise InvalidRefreshToken()
    _, sid, n, mac = parts
    wanted = ids.parse(sid)
    if wanted is None or not (n.isdecimal() and n.isascii() and len(n) < 10):
        raise InvalidRefreshToken()
    session: Session | None = Session.objects(id=wanted).first()
    if session is None or not crypto.same(_mac(session, int(n)), mac):
        raise InvalidRefreshToken()
    return session, int(n)


def _live(user_id: ObjectId) -> Any:
    moment = clock.now()
    return Session.objects(user_id=user_id, revoked_at=None, expires_at__gt=moment, ends_at__gt=moment)


def end_by_token(token: str) -> None:
    """End the session of a refresh token, any of its line; one that has ended stays so."""
    session, _ = _proven(token)
    _end([session.id], "logout")


def end(session_id: str, reason: str = "logout") -> None:
    """End one session: its refresh and access tokens are dead at once."""
    _end([ObjectId(session_id)], reason)


def end_all(user_id: str, reason: str = "logout_all") -> int:
    """End every session of a user and outdate their access tokens; returns how many sessions lived."""
    live = list(_live(ObjectId(user_id)).scalar("id"))
    User.objects(id=ObjectId(user_id)).update_one(inc__token_version=1)
    count = _end(live, reason)
    standing.forget_user(user_id)
    return count


def end_everyones() -> Iterator[int]:
    """End every session there is, a batch at a time; tells of each batch how many it ended."""
    moment = clock.now()
    live = Session.objects(revoked_at=None, expires_at__gt=moment, ends_at__gt=moment).order_by("id")
    batch = list(live.limit(BATCH).scalar("id"))
    while batch:
        with audit.gathered():
            ended = _end(batch, "revoked_all")
        yield ended
        batch = list(live.filter(id__gt=batch[-1]).limit(BATCH).scalar("id"))


def revoke_token(session_id: str, token_id: str) -> None:
    """End one access token by its jti; its session goes on."""
    Session._get_collection().update_one(
        {"_id": ObjectId(session_id)},
        {"$push": {"revoked_token_ids": {"$each": [token_id], "$slice": -MOST_REVOKED}}},
    )
    standing.forget_session(session_id)


def revoke_own(actor: Actor, token: str) -> None:
    """End the session of a refresh token if it is the caller's own; never tells what the token was (RFC 7009)."""
    try:
        session, _ = _proven(token)
    except InvalidRefreshToken:
        return
    if str(session.user_id) == actor.user_id:
        _end([session.id], "revoked")


def _end(session_ids: list[ObjectId], reason: str) -> int:
    if not session_ids:
        return 0
    ended = Session.objects(id__in=session_ids, revoked_at=None).update(
        set__revoked_at=clock.now(), set__reason=reason
    )
    standing.end_sessions([str(session_id) for session_id in session_ids])
    for session in Session.objects(id__in=session_ids).only("user_id", "organization_id"):
        actor = Actor(str(session.user_id), str(session.organization_id), "viewer", session_id=str(session.id))
        emit("session.ended", actor, session_id=str(session.id), reason=reason)
    return int(ended)
