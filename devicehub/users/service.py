"""Users: finding them, one's own profile and preferences, and what their access tokens are worth."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from bson import ObjectId

from devicehub.core import cache, clock, config, remembered
from devicehub.core.actor import Actor
from devicehub.core.cache import Cached
from devicehub.core.errors import NotFound
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.users import preferences as choices
from devicehub.users.models import User


class UserNotFound(NotFound):
    code = "USER_NOT_FOUND"
    title = "User not found"
    detail = "No user {user_id}."


def describe(user: User) -> dict[str, Any]:
    """A user as `UserSchema` shows one."""
    return {
        "id": str(user.id),
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "createdAt": clock.rfc3339(user.created_at),
        "updatedAt": clock.rfc3339(user.updated_at),
    }


def get(user_id: str) -> User:
    """One user; raises UserNotFound."""
    user: User | None = User.objects(id=ObjectId(user_id)).first()
    if user is None:
        raise UserNotFound(user_id=user_id)
    return user


def find(query: Mapping[str, Any], page: Page) -> dict[str, Any]:
    """A page of all accounts there are, newest first; for platform admins only, which the door sees to."""
    conditions: dict[str, Any] = {"role": query["role"]} if "role" in query else {}
    if query.get("search"):
        literal = {"$regex": re.escape(query["search"]), "$options": "i"}
        conditions["$or"] = [{"name": literal}, {"email": literal}]
    # Without the hint a search is counted over the documents, and a count of all is an estimate.
    chosen = User.objects(__raw__=conditions).hint("of_role" if "role" in query else "by_created_at")
    rows = chosen.order_by("-created_at", "-id").skip(page.skip).limit(page.limit)
    return {"items": [describe(user) for user in rows], "pagination": page.describe(chosen.count())}


def find_by_email(email: str) -> User | None:
    """The user with this address, however it is spelled."""
    found: User | None = User.objects(email=email.lower()).first()
    return found


def get_many(user_ids: Iterable[ObjectId]) -> dict[ObjectId, User]:
    """These users by their ids."""
    found: dict[ObjectId, User] = User.objects.in_bulk(list(user_ids))
    return found


def profile(actor: Actor, *, fresh: bool = False) -> Cached:
    """The caller's own profile as JSON bytes, cached; `fresh` neither reads nor stores the cache."""
    return cache.current().fetch(
        actor.user_id,
        "profile",
        "own",
        ttl=config.current().cache_profile_ttl,
        compute=lambda: orjson.dumps(describe(get(actor.user_id))),
        bypass=fresh,
    )


def update_profile(actor: Actor, changes: dict[str, Any]) -> User:
    """Change the caller's own profile; an empty change is none."""
    if not changes:
        return get(actor.user_id)
    with cache.current().writing(actor.user_id, "profile"):
        user: User | None = User.objects(id=ObjectId(actor.user_id)).modify(
            new=True, inc__revision=1, set__updated_at=clock.now(), set__name=changes["name"]
        )
    if user is None:
        raise UserNotFound(user_id=actor.user_id)
    emit("user.updated", actor, changes=changes)
    return user


def preferences(actor: Actor) -> dict[str, Any]:
    """What the caller wants to be told of, and how."""
    return choices.get(actor.user_id)


def update_preferences(actor: Actor, changes: dict[str, Any]) -> dict[str, Any]:
    """Change what the caller wants to be told of; what is not named stays."""
    wanted = choices.update(actor.user_id, changes)
    emit("user.preferences_updated", actor, user_id=actor.user_id)
    return wanted


def outdate_tokens(user_ids: Iterable[str]) -> None:
    """The rights of these users have changed: their access tokens are stale at once; who refreshes goes on."""
    outdated = list(user_ids)
    User.objects(id__in=[ObjectId(user_id) for user_id in outdated]).update(inc__token_version=1)
    forget(outdated)


def forget(user_ids: Iterable[str]) -> None:
    """What these users may do has changed: whoever is asked next asks MongoDB."""
    remembered.overwrite([f"user:{user_id}" for user_id in user_ids], remembered.CHANGED)
