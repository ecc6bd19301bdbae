"""The audit trail: who did what to whom, in which organization, and how it ended."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, IntField, ObjectIdField, StringField

from devicehub.core.documents import Document, TenantQuerySet


class AuditEntry(Document):
    """Written once and never changed. `(organization_id, sequence)` is unique: that is what orders the chain."""

    meta: ClassVar[dict[str, Any]] = {"collection": "audit_entries", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    sequence = IntField(required=True)
    action = StringField(required=True)
    target = StringField()
    outcome = StringField(required=True)
    changes = DictField()
    actor_id = ObjectIdField()
    actor_kind = StringField(required=True)
    ip = StringField()
    request_id = StringField()
    at = DateTimeField(required=True)
