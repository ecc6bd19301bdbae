"""Changing one's e-mail address: asked for with the password, done by a link mailed to the new address.

What is stored proves a token that was made for this user, this address and the present password: a newer request
or a new password ends it. Confirming is one conditional update, so it is done once, and only while nobody else has
the address.
"""

from datetime import timedelta
from math import ceil
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from devicehub.audit import service as audit
from devicehub.auth import lockout
from devicehub.auth.errors import (
    EmailAlreadyExists,
    InvalidEmailToken,
    TooManyEmailChanges,
)
from devicehub.core import cache, clock, config, crypto, ids
from devicehub.core.actor import Actor
from devicehub.core.errors import InvalidInput
from devicehub.core.events import emit
from devicehub.mail import service as mail
from devicehub.mail.addresses import masked
from devicehub.organizations import service as organizations
from devicehub.users import service as users
from devicehub.users.models import User

PREFIX = "dhe"
LIFE = timedelta(hours=24)
ALLOWED, WINDOW = 5, timedelta(hours=1)


def ask(actor: Actor, *, email: str, current_password: str) -> None:
    """Mail a link to the new address, whether or not it has an account: only who reads its mail finds out.

    Raises InvalidCredentials, AccountLocked, InvalidInput for one's present address, TooManyEmailChanges and Busy.
    """
    user, address = users.get(actor.user_id), email.lower()
    place = lockout.session(user.email, actor.session_id or "")
    lockout.admit(place)
    lockout.verify(current_password, user.password_hash, place)
    if address == user.email:
        raise InvalidInput(errors={"email": ["This is your address already."]})
    secret = crypto.random_token()
    proof = _proof(user, address, secret)
    _keep(actor, user, address, proof)
    facts = {
        "token": f"{PREFIX}_{user.id}_{secret}",
        "newEmail": address,
        "minutes": LIFE // timedelta(minutes=1),
    }
    mail.send("email_change", address, facts, key=f"email_change:{proof}", dies_at=clock.now() + LIFE)
    audit.record(actor, "user.email_change_requested", target=actor.user_id, changes={"email": masked(address)})


def confirm(token: str, *, ip: str | None) -> str:
    """Make the address a token was mailed to its user's own, and tell the one before; returns the new one.

    Raises InvalidEmailToken, and EmailAlreadyExists when somebody else has it by now.
    """
    user, change = _asked_for(token)
    organization_id = organizations.still(str(user.id), str(change["organization_id"]))
    actor = Actor(str(user.id), organization_id, "viewer", ip=ip)
    seen = masked(change["email"])
    with (
        audit.intended(actor, "user.email_changed", target=actor.user_id, changes={"email": seen}),
        cache.current().writing(actor.user_id, "profile"),
    ):
        _change(user, change)
    facts = {"newEmail": seen, "at": clock.rfc3339(clock.now())}
    mail.send("email_changed", user.email, facts, key=f"email_changed:{change['proof']}", user_id=actor.user_id)
    emit("user.email_changed", actor, user_id=actor.user_id)
    return str(change["email"])


def _proof(user: User, address: str, secret: str) -> str:
    key = config.current().jwt_refresh_secret
    return crypto.mac(key, "email_change", user.id, user.password_hash, address, secret)


def _keep(actor: Actor, user: User, address: str, proof: str) -> None:
    """Let this request be the user's newest, unless there were too many: each of them mails a stranger."""
    moment = clock.now()
    is_allowed = [
        {f"email_asked_at.{ALLOWED - 1}": {"$exists": False}},
        {"email_asked_at.0": {"$lte": moment - WINDOW}},
    ]
    change = {
        "email": address,
        "proof": proof,
        "organization_id": ObjectId(actor.organization_id),
        "expires_at": moment + LIFE,
    }
    done = User._get_collection().update_one(
        {"_id": user.id, "$or": is_allowed},
        {
            "$set": {"email_change": change},
            "$push": {"email_asked_at": {"$each": [moment], "$slice": -ALLOWED}},
        },
    )
    if not done.matched_count:
        oldest = min(user.email_asked_at, default=moment)
        wait = ceil((oldest + WINDOW - moment).total_seconds())
        raise TooManyEmailChanges(headers={"Retry-After": str(max(1, wait))})


def _asked_for(token: str) -> tuple[User, dict[str, Any]]:
    """The user a token was made for, and what they asked for."""
    prefix, _, rest = token.partition("_")
    user_id, _, secret = rest.partition("_")
    wanted = ids.parse(user_id) if prefix == PREFIX else None
    user: User | None = User.objects(id=wanted).first() if wanted else None
    change = user.email_change if user is not None else None
    if user is None or not change or change["expires_at"] <= clock.now():
        raise InvalidEmailToken()
    if not crypto.same(_proof(user, change["email"], secret), change["proof"]):
        raise InvalidEmailToken()
    return user, change


def _change(user: User, change: dict[str, Any]) -> None:
    try:
        done = User._get_collection().update_one(
            {"_id": user.id, "email_change.proof": change["proof"], "password_hash": user.password_hash},
            {
                "$set": {"email": change["email"], "updated_at": clock.now()},
                "$unset": {"email_change": ""},
                "$inc": {"revision": 1},
            },
        )
    except DuplicateKeyError:
        raise EmailAlreadyExists() from None
    if not done.matched_count:
        raise InvalidEmailToken()
