"""What each view demands of its caller, kept on the view itself so that every part of the edge can ask."""

from dataclasses import dataclass
from typing import Any, Literal

from flask import current_app, request

from devicehub.core.actor import Actor, Role, Scope
from devicehub.core.errors import Forbidden, InsufficientRole, InsufficientScope

LimitClass = Literal[
    "auth", "refresh", "device", "ingest", "analytics", "export", "general", "invitation", "webhook", "none"
]


class KeyNotAccepted(Forbidden):
    detail = "This is not done with a key: sign in for it."


@dataclass(frozen=True, slots=True)
class Guard:
    """What a view demands of its caller; `role` is None for a public view.

    An API key is let in only where a `scope` is named, and has to carry it; a device's key only with `devices`.
    The role is the one in the active organization, or `in_path` in the one that the path names.
    """

    role: Role | None
    limit: LimitClass = "general"
    scope: Scope | None = None
    devices: bool = False
    platform_admin: bool = False
    token_in_query: bool = False
    in_path: bool = False

    def accept(self, actor: Actor) -> None:
        """Raise unless callers who come with what this one came with are let in at all."""
        is_let_in = {"device": self.devices, "api_key": self.scope is not None}
        if not is_let_in.get(actor.kind, True):
            raise KeyNotAccepted()
        if actor.kind == "api_key" and self.scope not in actor.scopes:
            raise InsufficientScope(scope=self.scope)

    def admit(self, actor: Actor) -> None:
        """Raise unless this caller's rights suffice."""
        if self.platform_admin and not actor.is_platform_admin:
            raise Forbidden()
        if self.role is not None and not actor.is_at_least(self.role):
            raise InsufficientRole(role=self.role)


# Of who listens over Socket.IO; what is asked there beyond events has a guard of its own.
HEARS_EVENTS = Guard("viewer", scope="events:read")


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
