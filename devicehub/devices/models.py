"""A device, its configuration and the latest it told of itself; and the keys it may come with."""

from typing import Any, ClassVar

from bson import ObjectId
from mongoengine import DateTimeField, DictField, IntField, ListField, LongField, ObjectIdField, StringField

from devicehub.auth.models import Key
from devicehub.core.actor import Actor
from devicehub.core.documents import Document, TenantQuerySet

STATUSES = ("active", "inactive", "maintenance")
PRESENCES = ("never_seen", "online", "late", "offline")


class DeviceQuerySet(TenantQuerySet):
    @staticmethod
    def conditions(actor: Actor) -> dict[str, Any]:
        """The organization's devices; of a device itself, and no other."""
        ours = {"organization_id": ObjectId(actor.organization_id)}
        return {**ours, "id": ObjectId(actor.device_id)} if actor.kind == "device" else ours


class Device(Document):
    """`revision` counts changes of configuration, `sequence` counts all changes: who writes raises it.

    `transitions` counts the changes of state that no person made; what of them was not told yet is in `untold`.
    While people are to be told that it is offline, `notice` says when that is due, and as part of which `group`.
    `due_at` is when silence makes a difference next, and whoever last wrote live fields is `written_by`.
    `name_key` and `serial_key` are the folded forms that sorting and searching use.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "devices", "queryset_class": DeviceQuerySet}

    organization_id = ObjectIdField(required=True)
    owner_id = ObjectIdField(required=True)
    name = StringField(required=True)
    name_key = StringField(required=True)
    type = StringField(required=True)
    status = StringField(choices=STATUSES, required=True)
    status_by = StringField(choices=("person", "device", "silence"), default="person")
    status_since = DateTimeField()
    serial_number = StringField()
    serial_key = StringField()
    location = StringField()
    tags = ListField(StringField())
    metadata = DictField()
    heartbeat_interval = IntField(required=True)
    interval_set_by = StringField(choices=("person", "default"), default="person")
    firmware_version = StringField()
    presence = StringField(choices=PRESENCES, required=True)
    presence_since = DateTimeField()
    last_active_at = DateTimeField()
    signal = DictField()
    clock_offset_ms = LongField()
    due_at = DateTimeField()
    metrics = DictField()
    transitions = IntField(default=0)
    untold = ListField(DictField())
    notice = DictField()
    written_by = StringField()
    sequence = LongField(default=0)
    revision = IntField(default=1)
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)


class DeviceKey(Key):
    """What a device comes with instead of a person's token: good for that device alone."""

    meta: ClassVar[dict[str, Any]] = {"collection": "device_keys", "queryset_class": TenantQuerySet}
    BEGINS = "dhd"

    device_id = ObjectIdField(required=True)


class PresenceChange(Document):
    """One change of a device's presence; `seq` is its number among the device's transitions."""

    meta: ClassVar[dict[str, Any]] = {"collection": "presence_history", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    device_id = ObjectIdField(required=True)
    seq = IntField(required=True)
    at = DateTimeField(required=True)
    presence_before = StringField(db_field="from", choices=PRESENCES, required=True)
    presence_after = StringField(db_field="to", choices=PRESENCES, required=True)
    cause = DictField(required=True)
