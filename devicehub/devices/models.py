"""A device, its configuration and the latest it told of itself; and the keys it may come with."""

from typing import Any, ClassVar

from bson import ObjectId
from mongoengine import DateTimeField, DictField, IntField, ListField, ObjectIdField, StringField

from devicehub.auth.models import Key
from devicehub.core.actor import Actor
from devicehub.core.documents import Document, TenantQuerySet

STATUSES = ("active", "inactive", "maintenance")
PRESENCES = ("never_seen", "online", "late", "offline")


class DeviceQuerySet(TenantQuerySet):
    def visible_to(self, actor: Actor) -> Any:
        """The organization's devices; of a device itself, and no other."""
        own = self.filter(organization_id=ObjectId(actor.organization_id))
        return own.filter(id=ObjectId(actor.device_id)) if actor.kind == "device" else own


class Device(Document):
    """`revision` counts changes of configuration, `beats` counts heartbeats; each orders what it counts.

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
    serial_number = StringField()
    serial_key = StringField()
    location = StringField()
    tags = ListField(StringField())
    metadata = DictField()
    heartbeat_interval = IntField(required=True)
    firmware_version = StringField()
    presence = StringField(choices=PRESENCES, required=True)
    last_active_at = DateTimeField()
    metrics = DictField()
    beats = IntField(default=0)
    revision = IntField(default=1)
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)


class DeviceKey(Key):
    """What a device comes with instead of a person's token: good for that device alone."""

    meta: ClassVar[dict[str, Any]] = {"collection": "device_keys", "queryset_class": TenantQuerySet}
    BEGINS = "dhd"

    device_id = ObjectIdField(required=True)
