"""What ends live connections, told to all processes as a hint: which events, and whom each concerns."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from devicehub.core.actor import Actor
from devicehub.core.events import Event
from devicehub.realtime import publishing, wire

Facts = Mapping[str, Any]


class Listener(Protocol):
    """A socket or a stream, as far as its end is concerned."""

    @property
    def actor(self) -> Actor: ...
    @property
    def organizations(self) -> set[str]: ...
    def end(self, event: str, reason: str) -> None: ...
    def leave(self, organization_id: str, reason: str) -> None: ...
    def become(self, actor: Actor) -> None: ...


CONCERNED: dict[str, Callable[[Listener, Facts], bool]] = {
    "session.ended": lambda one, facts: one.actor.session_id == facts["session_id"],
    "token.revoked": lambda one, facts: one.actor.token_id == facts["token_id"],
    "user.password_changed": lambda one, facts: one.actor.user_id == facts["user_id"],
    "member.removed": lambda one, facts: one.actor.user_id == facts["user_id"],
    "member.role_changed": lambda one, facts: one.actor.user_id == facts["user_id"],
    "organization.deleted": lambda one, facts: facts["organization_id"] in one.organizations,
    "api_key.updated": lambda one, facts: one.actor.key_id == facts["key_id"],
    "api_key.revoked": lambda one, facts: one.actor.key_id == facts["key_id"],
}


def relay(event: Event) -> None:
    """Tell every process that something may have ended for somebody. A sink of `emit`."""
    if event.name in CONCERNED:
        publishing.current().call(wire.dumps({"event": event.name, "facts": event.data}))
