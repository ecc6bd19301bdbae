"""A new password: by who knows the present one, or who reads the account's mail.

It is one conditional write. Raising `password_version` in it ends every session and known device granted for the
one before, also a session that is being opened with it at this very moment; what follows only tidies up.
"""

from dataclasses import replace

from devicehub.audit import service as audit
from devicehub.auth import known_devices, lockout, passwords, resets, revocation, sessions
from devicehub.auth.errors import InvalidCredentials, InvalidResetToken, NotAMember, PasswordReused
from devicehub.auth.sessions import Grant
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError
from devicehub.core.events import emit
from devicehub.mail import service as mail
from devicehub.organizations import service as organizations
from devicehub.users import service as users
from devicehub.users.models import User


def change(actor: Actor, *, current_password: str, new_password: str, user_agent: str | None) -> Grant:
    """Set another password: the caller's session goes on with a new pair of tokens, all others end.

    Raises InvalidCredentials and AccountLocked for the present one, UnfitPassword and PasswordReused for the new.
    """
    session_id = sessions.id_of(actor)
    user = users.get(actor.user_id)
    place = lockout.session(user.email, session_id)
    lockout.admit(place)
    lockout.verify(current_password, user.password_hash, place)
    changed = _set(user, new_password, actor, otherwise=InvalidCredentials)
    revocation.end_rest(actor.user_id, "password_changed", but=session_id)
    grant = sessions.renew(changed, actor, ip=actor.ip, user_agent=user_agent)
    _tell(changed, actor)
    return replace(grant, device_token=known_devices.issue(changed))


def reset(*, reset_token: str, new_password: str, ip: str | None) -> None:
    """Set another password by the token that a mailed code was exchanged for; every session ends.

    Raises InvalidResetToken, and UnfitPassword and PasswordReused, after which the token is still good.
    """
    user = resets.owner(reset_token)
    actor = _actor(user, ip)
    changed = _set(user, new_password, actor, otherwise=InvalidResetToken)
    revocation.end_rest(actor.user_id, "password_reset")
    lockout.prove(lockout.network(user.email, ip))
    _tell(changed, actor)


def _set(user: User, password: str, actor: Actor, *, otherwise: type[DeviceHubError]) -> User:
    """Give `user` a password that is fit and new; raises `otherwise` when they were given another meanwhile."""
    passwords.check(password, name=user.name, email=user.email, field="newPassword")
    used = filter(None, (user.password_hash, user.previous_password_hash))
    if any(passwords.matches(password, hashed) for hashed in used):
        raise PasswordReused()
    password_hash = passwords.hash_password(password)
    with audit.intended(actor, "user.password_changed", target=actor.user_id):
        changed: User | None = User.objects(id=user.id, password_hash=user.password_hash).modify(
            new=True,
            set__password_hash=password_hash,
            set__previous_password_hash=user.password_hash,
            inc__password_version=1,
            inc__token_version=1,
        )
        if changed is None:
            raise otherwise()
    return changed


def _tell(user: User, actor: Actor) -> None:
    emit("user.password_changed", actor, user_id=actor.user_id)
    facts = {"at": clock.rfc3339(clock.now()), "ip": actor.ip}
    key = f"password_changed:{user.id}:{user.password_version}"
    mail.send("password_changed", user.email, facts, key=key, user_id=actor.user_id)


def _actor(user: User, ip: str | None) -> Actor:
    """Whoever reads the account's mail, in their first organization; in a new one if they belong to none."""
    organizations.give_home(user)  # or who has lost the password, too, could never sign in again
    memberships = organizations.memberships(str(user.id))
    if not memberships:
        raise NotAMember()
    organization_id, role = next(iter(memberships.items()))
    return Actor(str(user.id), organization_id, role, ip=ip)
