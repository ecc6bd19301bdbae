"""Where an organization wants to be told of what happens, and the ledger of what it was told."""

from typing import Any, ClassVar

from mongoengine import BooleanField, DateTimeField, DictField, IntField, ListField, ObjectIdField, StringField

from devicehub.core.documents import Document, TenantQuerySet

# What may be listened to; `docs/api.md` says what each carries.
KINDS = (
    "api_key.created",
    "api_key.revoked",
    "api_key.updated",
    "device.created",
    "device.deleted",
    "device.late",
    "device.offline",
    "device.online",
    "device.status_changed",
    "device.updated",
    "device_key.created",
    "device_key.revoked",
    "export.completed",
    "export.failed",
    "invitation.accepted",
    "invitation.created",
    "invitation.revoked",
    "job.failed",
    "member.added",
    "member.removed",
    "member.role_changed",
    "notification.created",
    "organization.updated",
)
PING = "ping"
STATUSES = ("pending", "delivered", "failed")
REASONS = ("failing", "gone")


class Webhook(Document):
    """`slot` makes it one of so many: the index over them is unique within an organization.

    No secret is stored: it is derived from the server's own and `salt`; `former_salt` signs too until
    `former_until`. `due_at` is when there may be something to send, `claim` a token of whoever sends it, good
    until `claimed_until`. `failures` counts those since the last success, the first of them `failing_since`.
    `untold` is true while people have yet to be told that it was disabled.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "webhooks", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    slot = IntField(required=True)
    url = StringField(required=True)
    events = ListField(StringField(choices=KINDS))
    description = StringField(default="")
    enabled = BooleanField(default=True)
    disabled_reason = StringField(choices=REASONS)
    disabled_at = DateTimeField()
    untold = BooleanField()
    salt = StringField(required=True)
    former_salt = StringField()
    former_until = DateTimeField()
    failures = IntField(default=0)
    failing_since = DateTimeField()
    last_delivery_at = DateTimeField()
    due_at = DateTimeField()
    claim = StringField()
    claimed_until = DateTimeField()
    created_at = DateTimeField(required=True)


class Delivery(Document):
    """What a webhook is told of one event; `event_id` is unique within it, and is what the receiver knows it by.

    `body` is kept as it was first sent. `tries` are those since it was asked for last, `attempts` the newest of
    all.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "webhook_deliveries", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    webhook_id = ObjectIdField(required=True)
    event_id = StringField(required=True)
    event = StringField(required=True)
    body = StringField(required=True)
    status = StringField(choices=STATUSES, required=True)
    tries = IntField(default=0)
    attempts = ListField(DictField())
    due_at = DateTimeField()
    created_at = DateTimeField(required=True)
    delivered_at = DateTimeField()
