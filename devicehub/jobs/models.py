"""A job: work that outlives the request that asked for it. MongoDB's document is the truth, RQ only carries."""

from typing import Any, ClassVar

from mongoengine import (
    BooleanField,
    DateTimeField,
    DictField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)

from devicehub.core import ids
from devicehub.core.actor import Actor
from devicehub.core.documents import Document, TenantQuerySet

STATUSES = ("pending", "processing", "completed", "failed", "cancelled", "expired")


class JobQuerySet(TenantQuerySet):
    @staticmethod
    def conditions(actor: Actor) -> dict[str, Any]:
        """One's own; an admin's whole organization; everything for the system itself."""
        if actor.kind == "system":
            return {}
        ours = TenantQuerySet.conditions(actor)
        return ours if actor.is_at_least("admin") else {**ours, "user_id": ids.parse(actor.user_id)}


class Job(Document):
    """`key` makes it unique: the same effect asked for twice is one job.

    A `bulk` one may take minutes; of one that is `watched` it is told how it goes. `lease` is a token of whoever
    works on it, good until `lease_until` by MongoDB's clock. `attempts` counts the claims. A failed job that is
    `dead` was given up; `untold` is true until that, or that a watched one is done, was told.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "jobs", "queryset_class": JobQuerySet}

    name = StringField(required=True)
    arguments = DictField()
    key = StringField()
    bulk = BooleanField()
    watched = BooleanField()
    status = StringField(choices=STATUSES, required=True)
    attempts = IntField(default=0)
    run_at = DateTimeField(required=True)
    lease = StringField()
    lease_until = DateTimeField()
    cancel_requested_at = DateTimeField()
    progress = DictField()
    result = DictField()
    error = DictField()
    dead = BooleanField()
    untold = BooleanField()

    organization_id = ObjectIdField()
    user_id = ObjectIdField()
    actor_kind = StringField()
    scopes = ListField(StringField())
    request_id = StringField()

    created_at = DateTimeField(required=True)
    started_at = DateTimeField()
    finished_at = DateTimeField()
