"""A person who signs in."""

from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, DictField, IntField, ListField, StringField

from devicehub.core.documents import Document

ROLES = ("user", "admin")

# The kinds of notifications that one may turn off within the application; what concerns the safety of the account
# is always there.
IN_APP_KINDS = ("device_offline", "invitation", "export_ready", "export_failed", "report", "webhook")
IN_APP_FIXED = ("security",)
WHOSE_DEVICES = ("own", "all")


class User(Document):
    """`email` is kept in lower case and unique; `token_version` outdates every access token when raised.

    `password_version` is raised with each new password, and ends all that was granted for the one before.
    `email_change` is the newest request for another address, until it is confirmed; `email_asked_at` the times of
    the last few. `in_app` says which kinds of notifications are wanted (what is not in it is), `passed_on` which
    are also told to the webhooks of one's organizations (what is not in it is not), and `offline_devices` of whose
    devices one is told that they are offline.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "users"}

    name = StringField(required=True)
    email = StringField(required=True)
    password_hash = StringField(required=True)
    previous_password_hash = StringField()
    password_version = IntField(default=0)
    role = StringField(choices=ROLES, default="user")
    token_version = IntField(default=0)
    email_change = DictField()
    email_asked_at = ListField(DateTimeField())
    in_app = DictField(BooleanField())
    passed_on = DictField(BooleanField())
    offline_devices = StringField(choices=WHOSE_DEVICES, default="own")
    revision = IntField(default=1)
    first_sign_in_at = DateTimeField()
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)
