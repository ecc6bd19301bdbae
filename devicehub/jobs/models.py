"""A job: work that outlives the request that asked for it. MongoDB's document is the truth, RQ only carries."""

from typing import Any, ClassVar

from mongoengine import DateTimeField, DictField, IntField, ObjectIdField, StringField

from devicehub.core.documents import Document, TenantQuerySet

STATUSES = ("pending", "processing", "completed", "failed", "cancelled", "expired")


class Job(Document):
    """`key` makes it unique: the same effect asked for twice is one job."""

    meta: ClassVar[dict[str, Any]] = {"collection": "jobs", "queryset_class": TenantQuerySet}

    name = StringField(required=True)
    arguments = DictField()
    key = StringField()
    status = StringField(choices=STATUSES, required=True)
    attempts = IntField(default=0)
    organization_id = ObjectIdField()
    user_id = ObjectIdField()
    request_id = StringField()
    run_at = DateTimeField(required=True)
    created_at = DateTimeField(required=True)
