"""Sessions (one family of refresh tokens, from one sign-in to its end) and keys, which stay until they end."""

from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, IntField, ListField, ObjectIdField, StringField

from devicehub.core.actor import SCOPES
from devicehub.core.documents import Document, TenantQuerySet


class Session(Document):
    """Nothing token-like is stored: `salt` and `n` are what the present refresh token's mac is made over.

    `expires_at` slides with every rotation, `ends_at` does not.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "sessions"}

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
    revoked_token_ids = ListField(StringField())
    revoked_at = DateTimeField()
    reason = StringField()


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
