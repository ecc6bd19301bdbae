"""API keys: what an integration comes with. One acts for its owner, in one organization, within its scopes.

It never may more than its owner: the owner's present role in the organization is asked for each time.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.auth import keys, standing, uses
from devicehub.auth.errors import ApiKeyNotFound, KeyExpired, KeyInactive, KeyRevoked, TokenStale
from devicehub.auth.keys import Kind, Row
from devicehub.auth.models import ApiKey
from devicehub.core import clock, ids
from devicehub.core.actor import Actor, Role
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.core.remembered import State
from devicehub.organizations import service as organizations

MOST = 20


def _facts(row: Row) -> State:
    ends_at = row.get("expires_at")
    return {
        "user": str(row["user_id"]),
        "organization": str(row["organization_id"]),
        "scopes": row["scopes"],
        "active": row["active"],
        "ends": ends_at.timestamp() if ends_at is not None else None,
        "made": row["created_at"].timestamp(),
    }


KIND = Kind(ApiKey, _facts)


def find(actor: Actor, page: Page) -> tuple[list[ApiKey], int]:
    """A page of the caller's live keys in the active organization, newest first, and how many there are."""
    own = _own(actor)
    return list(own.order_by("-created_at", "-id").skip(page.skip).limit(page.limit)), own.count()


def create(
    actor: Actor, *, name: str, scopes: list[str], expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Make a key of the caller's own: it, and its text, which is told this once; raises TooManyKeys."""
    made = keys.make(KIND)
    owner = {"organization_id": ObjectId(actor.organization_id), "user_id": ObjectId(actor.user_id)}
    key = ApiKey(
        id=made.id,
        hash=made.hash,
        name=name,
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        created_by=owner["user_id"],
        created_at=clock.now(),
        **owner,
    )
    told = _told({"name": name, "scopes": key.scopes, "expires_at": expires_at})
    with audit.intended(actor, "api_key.created", target=str(key.id), changes=told):
        keys.insert(key, among=owner, most=MOST)
        emit("api_key.created", actor, key_id=str(key.id))
    return key, made.text


def update(actor: Actor, key_id: str, changes: Mapping[str, Any]) -> ApiKey:
    """Change a key of the caller's own, from now on; no change is none. Raises ApiKeyNotFound."""
    key = _get(actor, key_id)
    if not changes:
        return key
    stored = dict(changes) | ({"scopes": sorted(set(changes["scopes"]))} if "scopes" in changes else {})
    with audit.intended(actor, "api_key.updated", target=key_id, changes=_told(stored)):
        changed: ApiKey | None = _own(actor).filter(id=key.id).modify(new=True, __raw__={"$set": stored})
        if changed is None:  # revoked meanwhile
            raise ApiKeyNotFound(key_id=key_id)
        keys.forget(KIND, [key.id])
        emit("api_key.updated", actor, key_id=key_id)
    return changed


def revoke(actor: Actor, key_id: str) -> None:
    """End a key of the caller's own, at once; raises ApiKeyNotFound."""
    key = _get(actor, key_id)
    with audit.intended(actor, "api_key.revoked", target=key_id):
        if keys.end(KIND, _own(actor).filter(id=key.id)):
            emit("api_key.revoked", actor, key_id=key_id)


def end_all(*, user_id: str, organization_id: str) -> int:
    """End every key of somebody who left an organization; returns how many lived. What they made since stays."""
    owner = {"user_id": ObjectId(user_id), "organization_id": ObjectId(organization_id)}
    _, joined_at = organizations.joined(user_id).get(organization_id, ("", None))
    of_before = ApiKey.objects(**owner) if joined_at is None else ApiKey.objects(**owner, created_at__lt=joined_at)
    return len(keys.end(KIND, of_before))


def purge(organization_id: str) -> int:
    """Delete every key of an organization that is no more; returns how many there were."""
    there = ApiKey.objects(organization_id=ObjectId(organization_id))
    keys.end(KIND, there)
    return int(there.delete())


def identify(token: str) -> Actor:
    """The caller that a key stands for; raises InvalidToken, or what `_actor` raises of one that is ours."""
    key_id, state = keys.prove(KIND, token)
    actor = _actor(key_id, state)
    uses.note(ApiKey, key_id)
    return actor


def confirm(actor: Actor) -> None:
    """Ask again whether a key is what it was, for connections that outlive a request.

    Raises TokenStale when it may more or less now, else as `identify` does.
    """
    if present(actor)[actor.organization_id] != actor.role:
        raise TokenStale()


def present(actor: Actor) -> Mapping[str, Role]:
    """The one organization that a key acts in, and the role of its owner there now; raises as `confirm` does."""
    now = _actor(actor.key_id or "", keys.still(KIND, actor.key_id or ""))
    if now.scopes != actor.scopes:
        raise TokenStale()
    return {now.organization_id: now.role}


def _actor(key_id: str, state: State) -> Actor:
    """Raises KeyInactive, KeyExpired, or KeyRevoked when its owner is no longer a member."""
    if not state["active"]:
        raise KeyInactive()
    ends_at = datetime.fromtimestamp(state["ends"], UTC) if state["ends"] is not None else None
    if ends_at is not None and ends_at <= clock.now():
        raise KeyExpired()
    role = standing.role_in(state["organization"], state["user"], since=state.get("made", float("inf")))
    if role is None:
        raise KeyRevoked()
    return Actor(
        user_id=state["user"],
        organization_id=state["organization"],
        role=role,
        kind="api_key",
        token_ends_at=ends_at,
        key_id=key_id,
        scopes=frozenset(state["scopes"]),
    )


def _own(actor: Actor) -> Any:
    return ApiKey.objects.visible_to(actor).filter(user_id=ObjectId(actor.user_id), revoked_at=None)


def _get(actor: Actor, key_id: str) -> ApiKey:
    wanted = ids.parse(key_id)
    key: ApiKey | None = _own(actor).filter(id=wanted).first() if wanted else None
    if key is None:
        raise ApiKeyNotFound(key_id=key_id)
    return key


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a key as the audit trail keeps them."""
    return {name: clock.rfc3339(value) if isinstance(value, datetime) else value for name, value in fields.items()}
