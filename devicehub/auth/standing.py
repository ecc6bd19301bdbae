"""What an access token is worth right now: does its session live, and what may its user do.

MongoDB is the truth; what it said is remembered for a moment, as `core/remembered.py` tells.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

from bson import ObjectId
from pymongo.errors import PyMongoError

from devicehub.auth.errors import InvalidToken, TokenExpired, TokenRevoked, TokenStale
from devicehub.auth.models import Session
from devicehub.core import clock, ids, remembered
from devicehub.core.actor import Actor, Role
from devicehub.core.remembered import State
from devicehub.organizations import service as organizations
from devicehub.users import service as users
from devicehub.users.models import User

SEEN_EVERY = timedelta(minutes=1)


def identify(
    *,
    user_id: str,
    organization_id: str,
    session_id: str,
    token_id: str,
    token_version: int,
    token_ends_at: datetime,
) -> Actor:
    """The caller a verified access token stands for; raises InvalidToken, TokenRevoked or TokenStale."""
    session, user = _look_up(session_id, user_id)
    if session is None or user is None or token_id in session["revoked"]:
        raise TokenRevoked()
    if session["user"] != user_id:
        raise InvalidToken()
    role = user["memberships"].get(organization_id)
    if user["version"] != token_version or role is None:
        raise TokenStale()
    return Actor(
        user_id=user_id,
        organization_id=organization_id,
        role=role,
        is_platform_admin=user["is_admin"],
        session_id=session_id,
        token_id=token_id,
        token_ends_at=token_ends_at,
    )


def confirm(actor: Actor) -> None:
    """Ask again whether an identified caller still is who they were: for connections that outlive a request.

    Raises TokenExpired, TokenRevoked or TokenStale.
    """
    if present(actor).get(actor.organization_id) != actor.role:
        raise TokenStale()


def present(actor: Actor) -> Mapping[str, Role]:
    """The organizations of an identified caller now, and the role in each.

    Raises TokenExpired or TokenRevoked.
    """
    if actor.token_ends_at is not None and actor.token_ends_at <= clock.now():
        raise TokenExpired()
    session, user = _look_up(actor.session_id or "", actor.user_id)
    if session is None or user is None or actor.token_id in session["revoked"]:
        raise TokenRevoked()
    memberships: Mapping[str, Role] = user["memberships"]
    return memberships


def end_sessions(session_ids: Iterable[str]) -> None:
    """Let nobody believe any longer that these sessions live."""
    remembered.overwrite([f"sess:{session_id}" for session_id in session_ids], remembered.ENDED)


def forget_session(session_id: str) -> None:
    """Something about this session has changed: ask MongoDB."""
    remembered.overwrite([f"sess:{session_id}"], remembered.CHANGED)


def forget_user(user_id: str) -> None:
    """What this user may do has changed: ask MongoDB."""
    users.forget([user_id])


def role_in(organization_id: str, user_id: str, *, since: float) -> Role | None:
    """A user's present role in an organization; None for who is no member of it, or has left it `since`."""
    [user] = remembered.look_up({f"user:{user_id}": partial(_read_user, user_id)})
    if user is None or user.get("joined", {}).get(organization_id, since) > since:
        return None
    role: Role | None = user["memberships"].get(organization_id)
    return role


def _look_up(session_id: str, user_id: str) -> tuple[State | None, State | None]:
    """The states of a session and a user, None for what does not live; both in one round trip when remembered."""
    session, user = remembered.look_up(
        {
            f"sess:{session_id}": partial(_read_session, session_id),
            f"user:{user_id}": partial(_read_user, user_id),
        }
    )
    return session, user


def _read_session(session_id: str) -> State | None:
    wanted, moment = ids.parse(session_id), clock.now()
    live = Session.objects.live().filter(id=wanted)
    row = live.only("user_id", "revoked_token_ids", "last_seen_at").as_pymongo().first()
    if row is not None and row["last_seen_at"] <= moment - SEEN_EVERY:
        _note_use(row["_id"], moment)
    return row and {"user": str(row["user_id"]), "revoked": row.get("revoked_token_ids", [])}


def _note_use(session_id: ObjectId, moment: datetime) -> None:
    """Keep that a session is in use: here, where MongoDB is asked anyway, and once a minute at most."""
    with suppress(PyMongoError):  # whoever asks has got their answer already
        Session.objects(id=session_id, last_seen_at__lte=moment - SEEN_EVERY).update_one(set__last_seen_at=moment)


def _read_user(user_id: str) -> State | None:
    wanted = ids.parse(user_id)
    row = User.objects(id=wanted).only("token_version", "role").as_pymongo().first() if wanted else None
    if row is None:
        return None
    joined = organizations.joined(str(wanted))
    return {
        "version": row["token_version"],
        "is_admin": row.get("role") == "admin",
        "memberships": {organization_id: role for organization_id, (role, _) in joined.items()},
        "joined": {organization_id: at.timestamp() for organization_id, (_, at) in joined.items()},
    }
