"""One builder per thing, with defaults that make sense."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from bson import ObjectId
from flask import Flask

from devicehub.auth import api_keys, email_change, standing
from devicehub.auth import service as auth
from devicehub.core import clock
from devicehub.core.actor import SCOPES, Actor, Role
from devicehub.devices import keys as device_keys
from devicehub.devices import service as devices
from devicehub.mail.models import Mail
from devicehub.organizations.models import Member, Organization
from devicehub.users.models import User
from devicehub.web import identity

app: Flask = None  # type: ignore[assignment]  # set by conftest.py: tokens are signed by the application
PASSWORD = "correct horse battery"
_numbers = count(1)


@dataclass
class Account:
    """Somebody who has signed in."""

    email: str
    actor: Actor
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


def make_account(
    *,
    role: Role = "owner",
    organization_id: str | None = None,
    name: str = "Ada Lovelace",
    platform_admin: bool = False,
) -> Account:
    """A new person, signed in; with another role than owner, or a given organization, as a member of that."""
    email = f"person{next(_numbers)}@example.com"
    made = auth.sign_up(name=name, email=email, password=PASSWORD)
    if platform_admin:
        User.objects(id=made.user.id).update_one(set__role="admin")
    if role != "owner" and organization_id is None:
        organization_id = make_account().actor.organization_id
    if organization_id is not None:
        Organization.objects(id=made.organization.id).delete()
        member = Member(user_id=made.user.id, role=role, joined_at=clock.now())
        Organization.objects(id=ObjectId(organization_id)).update_one(push__members=member)
        standing.forget_user(str(made.user.id))
    return log_in(email)


def join(account: Account, organization_id: str, *, role: Role) -> None:
    """Let somebody belong to another organization too."""
    member = Member(user_id=ObjectId(account.actor.user_id), role=role, joined_at=clock.now())
    Organization.objects(id=ObjectId(organization_id)).update_one(push__members=member)
    standing.forget_user(account.actor.user_id)


def log_in(email: str) -> Account:
    """A new session of somebody who has signed up."""
    grant = auth.log_in(email=email, password=PASSWORD, ip="127.0.0.1", user_agent="tests")
    with app.app_context():
        token = identity.mint(grant)
        return Account(email, identity.authenticate(token), token, grant.refresh_token)


def email_token(account: Account, email: str | None = None) -> str:
    """The token that is mailed to somebody's new address, once they have asked for it."""
    email = email or f"person{next(_numbers)}@example.com"
    email_change.ask(account.actor, email=email, current_password=PASSWORD)
    mail = Mail.objects(kind="email_change", to=email).order_by("-id").first()
    return str(mail.data["token"])


def make_device(actor: Actor, **fields: Any) -> dict[str, Any]:
    """A device of the actor's organization, as the API shows it."""
    number = next(_numbers)
    defaults = {"name": f"Sensor {number}", "type": "sensor", "status": "active", "heartbeat_interval": 60}
    return devices.create(actor, defaults | fields)


def make_device_key(actor: Actor, device_id: str) -> str:
    """A key of a device, as the device sends it."""
    return device_keys.create(actor, device_id)[1]


def make_api_key(actor: Actor, *scopes: str) -> str:
    """An API key of the actor's own, as an integration sends it; with every scope unless some are named."""
    return api_keys.create(actor, name="Integration", scopes=list(scopes or SCOPES))[1]


def bearing(credential: str) -> dict[str, str]:
    """The headers of whoever comes with a token or a key."""
    return {"Authorization": f"Bearer {credential}"}
