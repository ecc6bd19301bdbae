"""The audit trail: who did what to whom, in which organization, and how it ended."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, IntField, ObjectIdField, StringField

from devicehub.core.documents import Document, TenantQuerySet

OUTCOMES = ("intended", "done", "failed", "refused")


class AuditEntry(Document):
    """Written once and never changed. `(organization_id, sequence)` is unique: that is what orders the chain.

    `hash` is made over everything else in the entry; `previous` and `previous_at` are the hash and the time of
    the entry before it. An entry that completes an intent names that one's sequence in `intent`.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "audit_entries", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    sequence = IntField(required=True)
    at = DateTimeField(required=True)
    action = StringField(required=True)
    target = StringField()
    outcome = StringField(choices=OUTCOMES, required=True)
    error = StringField()
    intent = IntField()
    changes = DictField()
    actor_id = ObjectIdField()
    actor_kind = StringField(required=True)
    ip = StringField()
    request_id = StringField()
    previous = StringField(required=True)
    previous_at = DateTimeField()
    hash = StringField(required=True)
