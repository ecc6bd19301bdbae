"""The end of sessions and of single tokens: at once and everywhere, MongoDB first, then what remembers it."""

from collections.abc import Iterator

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.auth import refresh_tokens, standing
from devicehub.auth.errors import InvalidRefreshToken, SessionNotFound
from devicehub.auth.models import Session
from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.organizations import service as organizations
from devicehub.users.models import User

# A session is granted at most 30 access tokens a minute of 15 minutes each: the last 500 are all that may live.
MOST_REVOKED = 500
BATCH = 500


def end_by_token(token: str) -> None:
    """End the session of a refresh token, any of its line; one that has ended stays so."""
    session, _ = refresh_tokens.prove(token)
    end_these([session.id], "logout")


def end(session_id: str, reason: str = "logout") -> None:
    """End one session: its refresh and access tokens are dead at once."""
    end_these([ObjectId(session_id)], reason)


def end_own(actor: Actor, session_id: str) -> None:
    """End one of the caller's live sessions; raises SessionNotFound."""
    wanted = ids.parse(session_id)
    session = Session.objects.live_of(actor.user_id).filter(id=wanted).only("id").first() if wanted else None
    if session is None or not end_these([session.id], "ended"):
        raise SessionNotFound(session_id=session_id)


def end_all(user_id: str, reason: str = "logout_all") -> int:
    """End every session of a user and outdate their access tokens; returns how many sessions lived."""
    User.objects(id=ObjectId(user_id)).update_one(inc__token_version=1)
    return end_rest(user_id, reason)


def end_rest(user_id: str, reason: str, *, but: str | None = None) -> int:
    """End every session of a user, `but` one, after their `token_version` was raised."""
    kept = [ObjectId(but)] if but else []
    count = end_these(list(Session.objects.live_of(user_id).filter(id__nin=kept).scalar("id")), reason)
    standing.forget_user(user_id)
    return count


def end_everyones() -> Iterator[int]:
    """End every session there is, a batch at a time; tells of each batch how many it ended."""
    live = Session.objects.live().order_by("id")
    batch = list(live.limit(BATCH).scalar("id"))
    while batch:
        with audit.gathered():
            ended = end_these(batch, "revoked_all")
        yield ended
        batch = list(live.filter(id__gt=batch[-1]).limit(BATCH).scalar("id"))


def revoke_token(actor: Actor, session_id: str, token_id: str) -> None:
    """End one access token by its jti; its session goes on."""
    Session._get_collection().update_one(
        {"_id": ObjectId(session_id)},
        {"$push": {"revoked_token_ids": {"$each": [token_id], "$slice": -MOST_REVOKED}}},
    )
    standing.forget_session(session_id)
    emit("token.revoked", actor, session_id=session_id, token_id=token_id)


def revoke_own(actor: Actor, token: str) -> None:
    """End the session of a refresh token if it is the caller's own; never tells what the token was (RFC 7009)."""
    try:
        session, _ = refresh_tokens.prove(token)
    except InvalidRefreshToken:
        return
    if str(session.user_id) == actor.user_id:
        end_these([session.id], "revoked")


def end_these(session_ids: list[ObjectId], reason: str) -> int:
    """End sessions by their ids; returns how many of them had not ended before."""
    if not session_ids:
        return 0
    ended = Session.objects(id__in=session_ids, revoked_at=None).update(
        set__revoked_at=clock.now(), set__reason=reason
    )
    standing.end_sessions([str(session_id) for session_id in session_ids])
    for session in Session.objects(id__in=session_ids).only("user_id", "organization_id"):
        actor = owner(session)
        emit("session.ended", actor, session_id=actor.session_id, user_id=actor.user_id, reason=reason)
    return int(ended)


def owner(session: Session) -> Actor:
    """Whose session it is, for what happens to it whoever makes it happen.

    An organization that they have left hears no more of them; of who belongs to none, none does.
    """
    user_id = str(session.user_id)
    organization_id = organizations.still(user_id, str(session.organization_id))
    return Actor(user_id, organization_id, "viewer", session_id=str(session.id))
