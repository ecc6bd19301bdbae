"""Known devices: a browser or app that somebody has signed in with.

Signing in answers a token that says so for 90 days; sent along with the next sign-in it makes that one of a known
device, which no stranger's failures lock out. It opens nothing by itself, and a new password ends it.
"""

from datetime import timedelta

from bson import ObjectId

from devicehub.auth import proofs
from devicehub.core import crypto
from devicehub.users.models import User

PREFIX = "dhl1"
LIFE = timedelta(days=90)


def issue(user: User, device_id: str | None = None) -> str:
    """The token of a device that `user` has just signed in with, known before as `device_id` or new."""
    return proofs.seal(PREFIX, user.id, user.password_version, device_id or crypto.random_token(12), life=LIFE)


def recognize(token: str | None, email: str) -> str | None:
    """Which known device of the account of this address a token is of; None for anything else.

    It asks for the token's user, not for the address's: so the time it takes tells nothing of the address.
    """
    facts = proofs.unseal(PREFIX, token) if token else None
    if facts is None:
        return None
    user_id, version, device_id = facts
    user: User | None = User.objects(id=ObjectId(user_id)).first()
    is_theirs = user is not None and (user.email, str(user.password_version)) == (email, version)
    return device_id if is_theirs else None
