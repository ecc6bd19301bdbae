"""Which mails a user wants. What concerns the safety of an account is not for turning off."""

from collections.abc import Mapping

from bson import ObjectId

from devicehub.mail.models import OPTIONAL_KINDS, SECURITY_KINDS, MailPreferences


def get(user_id: str) -> dict[str, bool]:
    """Whether each kind of mail goes to this user."""
    row = MailPreferences.objects(id=ObjectId(user_id)).as_pymongo().first()
    wanted = row["wanted"] if row else {}
    optional = {kind: bool(wanted.get(kind, True)) for kind in OPTIONAL_KINDS}
    return optional | dict.fromkeys(SECURITY_KINDS, True)


def update(user_id: str, changes: Mapping[str, bool]) -> dict[str, bool]:
    """Turn some of the optional kinds on or off; what is said of the others has no effect."""
    chosen = {f"set__wanted__{kind}": changes[kind] for kind in OPTIONAL_KINDS if kind in changes}
    if chosen:
        MailPreferences.objects(id=ObjectId(user_id)).update_one(upsert=True, **chosen)
    return get(user_id)


def wants(user_id: str, kind: str) -> bool:
    """Whether this user is to be mailed about this."""
    return kind in SECURITY_KINDS or get(user_id)[kind]
