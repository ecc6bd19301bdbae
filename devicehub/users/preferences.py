"""What one wants to be told of, by mail and within the application, and of whose devices."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from devicehub.mail import preferences as mail_preferences
from devicehub.users.models import IN_APP_FIXED, IN_APP_KINDS, User


def get(user_id: str) -> dict[str, Any]:
    """The choices of a user, as `PreferencesSchema` shows them."""
    user: User | None = User.objects(id=ObjectId(user_id)).only("in_app", "passed_on", "offline_devices").first()
    user = user or User()
    return {
        "mail": mail_preferences.get(user_id),
        "in_app": {kind: wants(user, kind) for kind in (*IN_APP_KINDS, *IN_APP_FIXED)},
        "webhooks": {kind: bool(user.passed_on.get(kind)) for kind in (*IN_APP_KINDS, *IN_APP_FIXED)},
        "offline_devices": user.offline_devices,
    }


def update(user_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change some of the choices; what is not named stays, and what is said of the fixed kinds has no effect."""
    mail_preferences.update(user_id, changes.get("mail", {}))
    wanted = changes.get("in_app", {})
    chosen = {f"set__in_app__{kind}": wanted[kind] for kind in IN_APP_KINDS if kind in wanted}
    chosen |= {f"set__passed_on__{kind}": wish for kind, wish in changes.get("webhooks", {}).items()}
    if "offline_devices" in changes:
        chosen["set__offline_devices"] = changes["offline_devices"]
    if chosen:
        User.objects(id=ObjectId(user_id)).update_one(**chosen)
    return get(user_id)


def wants(user: User, kind: str) -> bool:
    """Whether this user is to find notifications of a kind within the application."""
    return kind in IN_APP_FIXED or bool(user.in_app.get(kind, True))


def passes_on(user_id: str, kind: str) -> bool:
    """Whether notifications of a kind that a user gets are told to their organizations' webhooks, too."""
    user: User | None = User.objects(id=ObjectId(user_id)).only("passed_on").first()
    return user is not None and bool(user.passed_on.get(kind))
