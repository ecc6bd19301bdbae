"""Which events are news for one person, and in which words: a sink of `emit`, after those that cut connections.

What concerns the safety of an account is written at once, by whoever did it: it is rare, and waits for no worker.
"""

from collections.abc import Callable

from devicehub.core.events import Event
from devicehub.notifications import service as notifications
from devicehub.notifications.service import News

LONGEST_USER_AGENT = 200
# Ends of sessions that somebody may not know of; of a logout and a new password they are told otherwise, or know.
_TOLD_ENDS = {
    "ended": "One of your sessions was ended from another one.",
    "revoked_all": "An administrator of the platform has ended all sessions. Please sign in again.",
}

Told = tuple[str, News] | None


def hear(event: Event) -> None:
    """Tell whom an event concerns; told twice under one id, once."""
    describe = _NEWS.get(event.name)
    told = describe(event) if describe else None
    if told is not None:
        user_id, news = told
        notifications.notify(user_id, news, key=event.id)


def _reused(event: Event) -> Told:
    return event.actor.user_id, News(
        "security",
        "A refresh token was used twice",
        "A refresh token of yours that had been exchanged was used again, so its session was ended.",
        {"reason": "refresh_reused", "sessionId": event.data["session_id"]},
    )


def _new_place(event: Event) -> Told:
    facts = event.data
    return facts["user_id"], News(
        "security",
        "A new sign-in",
        "Somebody signed in to your account from a place we have not seen you in before. "
        "If it was not you, change your password now.",
        {
            "reason": "new_sign_in",
            "sessionId": facts["session_id"],
            "ip": facts["ip"],
            "userAgent": (facts["user_agent"] or "")[:LONGEST_USER_AGENT],
        },
    )


def _password_changed(event: Event) -> Told:
    return event.data["user_id"], News(
        "security",
        "Your password was changed",
        "Every other session was ended. If it was not you, set a new password now.",
        {"reason": "password_changed", "ip": event.actor.ip},
    )


def _email_changed(event: Event) -> Told:
    return event.data["user_id"], News(
        "security",
        "Your e-mail address was changed",
        "The one before was told by mail.",
        {"reason": "email_changed", "ip": event.actor.ip},
    )


def _session_ended(event: Event) -> Told:
    reason = event.data["reason"]
    if reason not in _TOLD_ENDS:
        return None
    data = {"reason": f"session_{reason}", "sessionId": event.data["session_id"]}
    return event.data["user_id"], News("security", "A session was ended", _TOLD_ENDS[reason], data)


def _logged_out_everywhere(event: Event) -> Told:
    return event.data["user_id"], News(
        "security",
        "All your sessions were ended",
        "Somebody who was signed in to your account has signed it out everywhere.",
        {"reason": "logged_out_everywhere", "sessions": event.data["sessions"], "ip": event.actor.ip},
    )


def _invited(event: Event) -> Told:
    facts = event.data
    if facts["guest_id"] is None:
        return None
    name, role = facts["organization_name"], facts["role"]
    return facts["guest_id"], News(
        "invitation",
        f"You are invited to {name}",
        f"{facts['inviter_name']} invites you to join {name} as {role}. Accept with the token in the mail.",
        {"invitationId": facts["invitation_id"], "organizationName": name, "role": role},
        event.actor.organization_id,
    )


_NEWS: dict[str, Callable[[Event], Told]] = {
    "session.reused": _reused,
    "session.opened_from_new_place": _new_place,
    "user.password_changed": _password_changed,
    "user.email_changed": _email_changed,
    "session.ended": _session_ended,
    "user.logged_out_everywhere": _logged_out_everywhere,
    "invitation.created": _invited,
}
