"""Who asked for a job, with the rights they have now, not those they had then."""

from collections.abc import Callable, Mapping
from typing import Any

from devicehub.core.actor import SYSTEM, Actor, Role

Memberships = Callable[[str], Mapping[str, Role]]
_memberships: Memberships | None = None


def know_by(memberships: Memberships) -> None:
    """Set how a user's roles, by organization, are looked up; `app.py` does: organizations rank after jobs."""
    global _memberships
    _memberships = memberships


def asker(row: Mapping[str, Any]) -> Actor | None:
    """Who asked for it; None when nobody did, or one who does not belong to the organization any more."""
    if _memberships is None:
        raise RuntimeError("askers.know_by() has not been called")
    if not row.get("user_id") or not row.get("organization_id"):
        return None
    role = _memberships(str(row["user_id"])).get(str(row["organization_id"]))
    return _actor(row, role) if role else None


def teller(row: Mapping[str, Any]) -> Actor:
    """In whose name something about a job is told, whatever they may do by now."""
    return _actor(row, "viewer") if row.get("organization_id") else SYSTEM


def _actor(row: Mapping[str, Any], role: Role) -> Actor:
    return Actor(
        user_id=str(row.get("user_id") or ""),
        organization_id=str(row["organization_id"]),
        role=role,
        kind=row.get("actor_kind") or "user",
        scopes=frozenset(row.get("scopes", ())),
        request_id=row.get("request_id"),
    )
