"""A session: one family of refresh tokens, from one sign-in to its end."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, IntField, ListField, ObjectIdField, StringField

from devicehub.core.documents import Document


class Session(Document):
    """Nothing token-like is stored: `salt` and `n` are what the present refresh token's mac is made over.

    It lives until the earlier of `expires_at`, which slides with every rotation, and `ends_at`, which does not.
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
    place = StringField()
    revoked_token_ids = ListField(StringField())
    revoked_at = DateTimeField()
    reason = StringField()
