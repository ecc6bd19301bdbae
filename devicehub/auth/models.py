"""Sessions (one family of refresh tokens, from sign-in to end), challenges for a lost password, and keys."""

from typing import Any, ClassVar

from bson import ObjectId
from mongoengine import (
    BooleanField,
    DateTimeField,
    IntField,
    ListField,
    ObjectIdField,
    QuerySet,
    StringField,
)

from devicehub.core import clock
from devicehub.core.actor import SCOPES
from devicehub.core.documents import Document, TenantQuerySet


class SessionQuerySet(QuerySet):
    """Sessions that live."""

    def live(self) -> Any:
        """Those that may be used now."""
        moment = clock.now()
        return self.filter(revoked_at=None, expires_at__gt=moment, ends_at__gt=moment)

    def live_of(self, user_id: ObjectId | str) -> Any:
        """Those of one user."""
        return self.live().filter(user_id=ObjectId(user_id))


class Session(Document):
    """Nothing token-like is stored: `salt` and `n` are what the present refresh token's mac is made over.

    It lives until the earlier of `expires_at`, which slides with every rotation, and `ends_at`, which does not.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "sessions", "queryset_class": SessionQuerySet}

    user_id = ObjectIdField(required=True)
    organization_id = ObjectIdField(required=True)
    salt = StringField(required=True)
    n = IntField(default=0)
    rotated_at = DateTimeField()
    created_at = DateTimeField(required=True)
    expires_at = DateTimeField(required=True)
    ends_at = DateTimeField(required=True)
    last_seen_at = DateTimeField(required=True)
    ip = StringField()
    user_agent = StringField()
    place = StringField()
    password_version = IntField(default=0)
    revoked_token_ids = ListField(StringField())
    revoked_at = DateTimeField()
    reason = StringField()


class PasswordChallenge(Document):
    """Somebody who says that they have lost the password of `account`, the keyed hash of an address.

    The address itself is kept until the job has looked it up; `user_id` is whose it is, once a code was made.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "password_challenges"}

    id = StringField(primary_key=True)
    account = StringField()
    email = StringField()
    user_id = ObjectIdField()
    tries = IntField(default=0)
    used_at = DateTimeField()
    expires_at = DateTimeField(required=True)


class Key(Document):
    """A long-lived credential; of its secret only the SHA-256 is stored.

    `slot` is the place it takes among its siblings while it lives: unique, so that no two take the last one.
    """

    meta: ClassVar[dict[str, Any]] = {"abstract": True, "queryset_class": TenantQuerySet}
    BEGINS: ClassVar[str]

    organization_id = ObjectIdField(required=True)
    hash = StringField(required=True)
    slot = IntField()
    created_by = ObjectIdField(required=True)
    created_at = DateTimeField(required=True)
    last_used_at = DateTimeField()
    revoked_at = DateTimeField()

    @property
    def prefix(self) -> str:
        """The part of it that may be shown: by it a person knows which one it is."""
        return f"{self.BEGINS}_{self.id}"


class ApiKey(Key):
    """The key of an integration: it acts for its owner, in one organization, within its scopes."""

    meta: ClassVar[dict[str, Any]] = {"collection": "api_keys", "queryset_class": TenantQuerySet}
    BEGINS = "dhk"

    user_id = ObjectIdField(required=True)
    name = StringField(required=True)
    scopes = ListField(StringField(choices=SCOPES))
    active = BooleanField(default=True)
    expires_at = DateTimeField()
