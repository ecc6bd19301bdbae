"""Platform admins: made by a command only, never by any request."""

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.auth import service as auth
from devicehub.auth import standing
from devicehub.auth.errors import NotAMember
from devicehub.core import cache, clock
from devicehub.core.actor import Actor
from devicehub.organizations import service as organizations
from devicehub.users.models import User


def find(email: str) -> User | None:
    """The account of this address, if there is one."""
    user: User | None = User.objects(email=email.lower()).first()
    return user


def create(*, name: str, email: str, password: str) -> None:
    """Make an account that is a platform admin; raises as `auth.sign_up` does.

    Whoever dies in between leaves an ordinary account, which can be promoted.
    """
    promote(auth.sign_up(name=name, email=email, password=password).user)


def promote(user: User) -> None:
    """Let somebody be a platform admin; raises NotAMember for whoever belongs to no organization.

    Their access tokens are outdated: what they say of rights is no longer so.
    """
    user_id = str(user.id)
    memberships = organizations.memberships(user_id)
    if not memberships:
        raise NotAMember()
    operator = Actor("", next(iter(memberships)), "owner", kind="system")
    with audit.intended(operator, "user.promoted", target=user_id, changes={"role": "admin"}):
        with cache.current().writing(user_id, "profile"):
            User.objects(id=ObjectId(user_id)).update_one(
                set__role="admin", set__updated_at=clock.now(), inc__revision=1, inc__token_version=1
            )
        standing.forget_user(user_id)
