"""Who does it: the caller, as every service sees one, whatever door it came through."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

Role = Literal["viewer", "operator", "admin", "owner"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin", "owner")
Scope = Literal[
    "devices:read",
    "devices:write",
    "heartbeats:write",
    "logs:read",
    "logs:write",
    "analytics:read",
    "exports:read",
    "exports:write",
    "events:read",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)


def at_least(role: Role, wanted: Role) -> bool:
    """Whether `role` may do what `wanted` may: owner > admin > operator > viewer."""
    return ROLES.index(role) >= ROLES.index(wanted)


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller whose identity and membership have been checked.

    `organization_id` is the active organization and `role` the stored role there: every query starts
    from these two. Ids are 24 hex digits. Of an API key `user_id` is its owner, of a device the device itself,
    which is nobody's user; `key_id` is the key that either came with.
    """

    user_id: str
    organization_id: str
    role: Role
    kind: Literal["user", "device", "api_key", "system"] = "user"
    is_platform_admin: bool = False
    session_id: str | None = None
    token_id: str | None = None
    token_ends_at: datetime | None = None
    device_id: str | None = None
    key_id: str | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    request_id: str | None = None
    ip: str | None = None

    def is_at_least(self, role: Role) -> bool:
        """Whether the caller's role in the active organization is `role` or above."""
        return at_least(self.role, role)


# Nobody in particular: the machinery itself, or a person at its command line.
SYSTEM = Actor(user_id="", organization_id="", role="owner", kind="system")
