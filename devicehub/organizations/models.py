"""An organization and who belongs to it."""

from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    IntField,
    ObjectIdField,
    StringField,
)

from devicehub.core.actor import ROLES
from devicehub.core.documents import Document


class Member(EmbeddedDocument):
    user_id = ObjectIdField(required=True)
    role = StringField(choices=ROLES, required=True)
    joined_at = DateTimeField(required=True)


class Organization(Document):
    """Members lie inside, so that a rule over all of them ("an owner remains") is one atomic update."""

    meta: ClassVar[dict[str, Any]] = {"collection": "organizations"}

    name = StringField(required=True)
    personal = BooleanField(default=False)
    members = EmbeddedDocumentListField(Member)
    revision = IntField(default=1)
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)
