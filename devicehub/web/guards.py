"""What each view demands of its caller, kept on the view itself so that every part of the edge can ask."""

from dataclasses import dataclass
from typing import Any, Literal

from flask import current_app, request

from devicehub.core.actor import Role

LimitClass = Literal["auth", "refresh", "device", "ingest", "general", "invitation", "none"]


@dataclass(frozen=True, slots=True)
class Guard:
    """What a view demands of its caller; `role` is None for a public view.

    The role is the one in the active organization, or `in_path` in the one that the path names.
    """

    role: Role | None
    limit: LimitClass = "general"
    platform_admin: bool = False
    token_in_query: bool = False
    in_path: bool = False


def guard_of(view: Any, method: str) -> Guard | None:
    """The guard of one method of a registered view, or None when it has none."""
    view_class = getattr(view, "view_class", None)
    if view_class is not None:
        view = getattr(view_class, "get" if method == "HEAD" else method.lower(), None)
    guard: Guard | None = getattr(view, "guard", None)
    return guard


def guard_of_request() -> Guard | None:
    """The guard of the view this request goes to."""
    return guard_of(current_app.view_functions.get(request.endpoint or ""), request.method)
