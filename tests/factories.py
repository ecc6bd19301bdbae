"""One builder per thing, with defaults that make sense."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

from bson import ObjectId
from flask import Flask
from mongoengine import Document

from devicehub.auth import api_keys, email_change, passwords, places, refresh_tokens, resets, sessions, standing
from devicehub.auth import service as auth
from devicehub.auth.models import Session
from devicehub.auth.sessions import Grant
from devicehub.core import clock, config, crypto, mongo, redis, remembered
from devicehub.core.actor import SCOPES, Actor, Role
from devicehub.devices import keys as device_keys
from devicehub.devices import service as devices
from devicehub.exports import service as exports
from devicehub.jobs import service as jobs
from devicehub.logs import imports
from devicehub.mail.models import Mail
from devicehub.notifications import service as notifications
from devicehub.notifications.models import Box
from devicehub.organizations import deletions, invitations
from devicehub.organizations import service as organizations
from devicehub.organizations.models import Member, Organization
from devicehub.reports import schedules
from devicehub.users.models import User
from devicehub.web import identity
from devicehub.webhooks import service as webhooks
from tests.jobs.inline import run_job

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
    """A new person, signed in; with another role than owner, or a given organization, as a member of that.

    What signing up and in would write is written at once, without asking for anything on the way: thousands are
    made. `tests/auth/test_factory.py` holds the two side by side.
    """
    person, moment = _person(name, "admin" if platform_admin else "user"), clock.now()
    people, homes = [person], []
    if organization_id is not None:
        member = Member(user_id=person.id, role=role, joined_at=moment)
        Organization.objects(id=ObjectId(organization_id)).update_one(push__members=member)
    elif role == "owner":
        homes.append(_home(person))
    else:
        people.append(_person(name))
        homes.append(_home(people[1]))
        homes[0].members.append(Member(user_id=person.id, role=role, joined_at=moment))
    home_id = organization_id or str(homes[0].id)
    session = Session(
        id=ObjectId(),
        user_id=person.id,
        organization_id=ObjectId(home_id),
        salt=crypto.random_token(16),
        created_at=moment,
        last_seen_at=moment,
        expires_at=moment + timedelta(seconds=config.current().refresh_token_ttl),
        ends_at=moment + timedelta(seconds=config.current().session_max_age),
        ip="127.0.0.1",
        user_agent="tests",
        place=places.fingerprint("127.0.0.1", "tests"),
    )
    _insert(*people, *homes, session)
    _let_be_remembered(person, session, role)
    return _signed(
        person.email,
        Grant(
            user=person,
            user_id=str(person.id),
            organization_id=home_id,
            role=role,
            session_id=str(session.id),
            token_version=person.token_version,
            refresh_token=refresh_tokens.spell(session),
            ends_at=session.ends_at,
        ),
    )


def _person(name: str, role: str = "user") -> User:
    moment = clock.now()
    return User(
        id=ObjectId(),
        name=name,
        email=f"person{next(_numbers)}@example.com",
        password_hash=_password_hash(),
        role=role,
        first_sign_in_at=moment,
        created_at=moment,
        updated_at=moment,
    )


@cache
def _password_hash() -> str:
    return passwords.hash_password(PASSWORD)


def _home(owner: User) -> Organization:
    return Organization(
        id=ObjectId(),
        name=organizations.home_name(owner.name),
        personal=True,
        members=[Member(user_id=owner.id, role="owner", joined_at=owner.created_at)],
        created_at=owner.created_at,
        updated_at=owner.created_at,
    )


def _insert(*documents: Document) -> None:
    """Write documents; only the last is waited for until it is safe, and with it those before it are."""
    for document in documents:
        collection = document._get_collection() if document is documents[-1] else mongo.at_ease(type(document))
        collection.insert_one(document.to_mongo())


def _let_be_remembered(person: User, session: Session, role: Role) -> None:
    """Let Redis know what it would after a first request, so that what ends it is seen to end that too."""
    user_id, home_id = str(person.id), str(session.organization_id)
    user = {"version": 0, "is_admin": person.role == "admin", "memberships": {home_id: role}}
    user["joined"] = {home_id: person.created_at.timestamp()}
    remembered.look_up(
        {
            f"sess:{session.id}": lambda: {"user": user_id, "revoked": []},
            f"user:{user_id}": lambda: user,
        }
    )


def join(account: Account, organization_id: str, *, role: Role) -> None:
    """Let somebody belong to another organization too."""
    member = Member(user_id=ObjectId(account.actor.user_id), role=role, joined_at=clock.now())
    Organization.objects(id=ObjectId(organization_id)).update_one(push__members=member)
    standing.forget_user(account.actor.user_id)


def invite(actor: Actor, email: str, *, role: Role = "viewer") -> str:
    """Invite somebody into the actor's organization; the token as it is mailed."""
    made = invitations.create(actor, email=email, role=role)
    token: str = Mail.objects(key=f"invitation:{made['id']}").first().data["token"]
    return token


def make_notification(account: Account, kind: str = "report", **facts: Any) -> str:
    """A notification of somebody's; its id."""
    number = next(_numbers)
    news = {"title": f"News {number}", "message": "Something has happened.", "data": {"number": number}} | facts
    assert notifications.notify(account.actor.user_id, notifications.News(kind, **news), key=f"news:{number}")
    return str(Box.objects.get(id=account.actor.user_id).items[0]["id"])


def _deleted(account: Account) -> str:
    """The receipt for an organization of somebody's own that they have deleted."""
    gone = organizations.create_own(account.actor, {"name": "Gone"})
    return str(deletions.delete(organizations.require(account.actor, str(gone.id)))["receipt_id"])


def _home_with_a_spare(account: Account) -> str:
    """The active organization of somebody who has another, so that one of them may be deleted."""
    organizations.create_own(account.actor, {"name": "Spare"})
    return account.actor.organization_id


Ids = dict[str, str]
# For every name that paths give an id, how an owner comes to one: what lies within another thing comes after it.
# And the tokens that are mailed to them: of an invitation elsewhere, and for another address.
MAKE: dict[str, Callable[[Account, Ids], str]] = {
    "email_token": lambda account, _: email_token(account),
    "invitation_token": lambda account, _: invite(make_account().actor, account.email),
    "organization_id": lambda account, _: _home_with_a_spare(account),
    "user_id": lambda account, _: (
        make_account(role="viewer", organization_id=account.actor.organization_id).actor.user_id
    ),
    "invitation_id": lambda account, _: str(
        invitations.create(account.actor, email=f"guest{next(_numbers)}@example.com", role="viewer")["id"]
    ),
    "receipt_id": lambda account, _: _deleted(account),
    "api_key_id": lambda account, _: str(api_keys.create(account.actor, name="One", scopes=["logs:read"])[0].id),
    "device_id": lambda account, _: str(make_device(account.actor)["id"]),
    "session_id": lambda account, _: str(account.actor.session_id),
    "job_id": lambda account, _: jobs.enqueue("jobs.nonesuch", actor=account.actor),
    "notification_id": lambda account, _: make_notification(account),
    "schedule_id": lambda account, _: make_schedule(account.actor),
    "export_id": lambda account, _: make_export(account.actor),
    "webhook_id": lambda account, _: make_webhook(account.actor),
    "delivery_id": lambda account, ids: str(webhooks.ping(account.actor, ids["webhook_id"]).id),
    "import_id": lambda account, _: make_import(account.actor),
    "key_id": lambda account, ids: str(device_keys.create(account.actor, ids["device_id"])[0].id),
}


def make_one_of_each(account: Account) -> Ids:
    """Something of an owner's for every operation to be tried on, by the names that paths give ids."""
    made: Ids = {}
    for name, make in MAKE.items():
        made[name] = make(account, made)
    return made


def go_on_in(account: Account, organization_id: str) -> Account:
    """Somebody's session, renewed with another of their organizations as the active one."""
    session = Session.objects(id=ObjectId(account.actor.session_id))
    session.update_one(set__organization_id=ObjectId(organization_id))
    return _signed(account.email, sessions.rotate(account.refresh_token, ip="127.0.0.1", user_agent="tests"))


def let_redis_remember(account: Account) -> None:
    """What somebody may do, as if nothing of it had changed for a minute."""
    key = f"user:{account.actor.user_id}"
    redis.current().client.delete(key)
    with app.app_context():
        identity.authenticate(account.access_token)
    assert account.actor.organization_id.encode() in (redis.current().client.get(key) or b"")


def log_in(email: str) -> Account:
    """A new session of somebody who has signed up."""
    return _signed(email, auth.log_in(email=email, password=PASSWORD, ip="127.0.0.1", user_agent="tests"))


def _signed(email: str, grant: Grant) -> Account:
    # Asked for, and not put together from the grant: from here on Redis remembers them, and what ends them is seen
    # to end that too.
    with app.app_context():
        token = identity.mint(grant)
        return Account(email, identity.authenticate(token), token, grant.refresh_token)


def make_code(email: str) -> tuple[str, str]:
    """A challenge for a lost password, and the code that was mailed for it."""
    challenge_id = resets.begin(email)
    resets.send_code(challenge_id, attempt=1)
    return challenge_id, Mail.objects(key=f"otp:{challenge_id}:1").first().data["code"]


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


def make_export(actor: Actor, *, made: bool = True) -> str:
    """An export of the actor's own devices, whose file is there if it is `made`; its id."""
    job_id = str(exports.create(actor, {"type": "device_report", "format": "csv"}).id)
    if made:
        assert run_job(job_id).status == "completed"
    return job_id


def make_schedule(actor: Actor, **changes: Any) -> str:
    """A daily report of the actor's own; its id."""
    fields = {
        "name": "Every day",
        "type": "usage_report",
        "format": "csv",
        "frequency": "daily",
        "weekday": "monday",
        "day": 1,
        "hour": 6,
        "filters": {"device_ids": [], "event_types": [], "include_inactive": False},
        "enabled": True,
    }
    return str(schedules.create(actor, fields | changes).id)


def make_webhook(actor: Actor) -> str:
    """A webhook of the actor's organization that leads nowhere; its id."""
    made, _ = webhooks.create(actor, url="https://hooks.example.invalid/", events=["device.created"])
    return str(made.id)


def make_device_key(actor: Actor, device_id: str) -> str:
    """A key of a device, as the device sends it."""
    return device_keys.create(actor, device_id)[1]


def make_import(actor: Actor) -> str:
    """An import that waits for its job; its id."""
    import_id = ObjectId()
    imports.keep(actor, import_id, [(1, {"event": "on"}, None)])
    return str(import_id)


def make_api_key(actor: Actor, *scopes: str) -> str:
    """An API key of the actor's own, as an integration sends it; with every scope unless some are named."""
    return api_keys.create(actor, name="Integration", scopes=list(scopes or SCOPES))[1]


def bearing(credential: str) -> dict[str, str]:
    """The headers of whoever comes with a token or a key."""
    return {"Authorization": f"Bearer {credential}"}
