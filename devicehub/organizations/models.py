"""An organization, who belongs to it, who is invited, and the receipt for its deletion."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    DictField,
    EmbeddedDocument,
    EmbeddedDocumentListField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)

from devicehub.core.actor import ROLES, Role
from devicehub.core.documents import Document

# What one may do, each with the least role that may. `docs/api.md` has the same for people, and the guards of the
# routes say the same; a test compares them.
PERMISSIONS: Mapping[str, Role] = {
    "read_devices": "viewer",
    "manage_own_api_keys": "viewer",
    "make_exports": "viewer",
    "register_devices": "operator",
    "change_own_devices": "operator",
    "change_any_device": "admin",
    "manage_members": "admin",
    "manage_invitations": "admin",
    "change_settings": "admin",
    "read_audit_trail": "admin",
    "change_owners": "owner",
    "delete_organization": "owner",
}


class Member(EmbeddedDocument):
    user_id = ObjectIdField(required=True)
    role = StringField(choices=ROLES, required=True)
    joined_at = DateTimeField(required=True)
    role_at = DateTimeField()


class Invitation(EmbeddedDocument):
    """Open as long as it is there and has not expired. Of its token only the hash is kept."""

    invitation_id = ObjectIdField(required=True)
    email = StringField(required=True)
    role = StringField(choices=ROLES, required=True)
    token_hash = StringField(required=True)
    invited_by = ObjectIdField(required=True)
    created_at = DateTimeField(required=True)
    expires_at = DateTimeField(required=True)


class Organization(Document):
    """Members and invitations lie inside, so that a rule over all of them is one atomic update: that an owner
    remains, that an invitation is accepted once.

    `revision` counts changes of name and settings. In a deleted one nobody is a member any more; it waits for
    what belongs to it to be deleted too.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "organizations"}

    name = StringField(required=True)
    personal = BooleanField(default=False)
    timezone = StringField(default="UTC")
    log_retention_days = IntField(default=90)
    members = EmbeddedDocumentListField(Member)
    invitations = EmbeddedDocumentListField(Invitation)
    former_members = ListField(ObjectIdField())
    revision = IntField(default=1)
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)
    deleted_at = DateTimeField()


class Deletion(Document):
    """The receipt for the deletion of an organization: which parts of it are `waiting`, and what went so far."""

    meta: ClassVar[dict[str, Any]] = {"collection": "organization_deletions"}

    organization_id = ObjectIdField(required=True)
    name = StringField(required=True)
    user_id = ObjectIdField(required=True)
    waiting = ListField(StringField())
    counts = DictField()
    created_at = DateTimeField(required=True)
    completed_at = DateTimeField()
