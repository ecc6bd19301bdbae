"""What devices logged, and what was counted of it while it was written."""

from typing import Any, ClassVar

from mongoengine import (
    BinaryField,
    BooleanField,
    DateTimeField,
    DictField,
    FloatField,
    IntField,
    ListField,
    LongField,
    ObjectIdField,
    StringField,
)

from devicehub.core.documents import Document, TenantQuerySet

LEVELS = ("debug", "info", "warning", "error", "critical")
# What people look for among all; an index holds these, and not the many others.
NOTABLE = LEVELS[2:]
# What is used is told by the values of this event.
USAGE = "units_consumed"


class Log(Document):
    """One thing that a device logged, at a moment of its own clock that was sound."""

    meta: ClassVar[dict[str, Any]] = {"collection": "logs", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    device_id = ObjectIdField(required=True)
    event = StringField(required=True)
    level = StringField(choices=LEVELS, required=True)
    value = FloatField()
    message = StringField()
    metadata = DictField()
    sequence = LongField()
    at = DateTimeField(required=True)
    received_at = DateTimeField(required=True)


class Import(Document):
    """Logs of long ago that are written by a job, and how far it is.

    `done` of its `parts` are written: who writes the next raises it in the same transaction, and only while `run`
    is the token that he put there himself. `wrong` are the first lines that were not taken, and why, as JSON: what
    they name could be no name of a field here.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "log_imports", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    user_id = ObjectIdField(required=True)
    lines = IntField(required=True)
    parts = IntField(required=True)
    run = StringField()
    done = IntField(default=0)
    accepted = IntField(default=0)
    duplicates = IntField(default=0)
    rejected = IntField(default=0)
    wrong = ListField(StringField())
    created_at = DateTimeField(required=True)


class ImportPart(Document):
    """A bounded number of the lines of an import, as JSON, until it ends."""

    meta: ClassVar[dict[str, Any]] = {"collection": "log_import_parts", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    import_id = ObjectIdField(required=True)
    lines = BinaryField(required=True)
    created_at = DateTimeField(required=True)


class Hour(Document):
    """What an organization logged in one hour of UTC.

    `part` is `all` for the counts of all (`c`), of each quarter of it (`q`) and each event (`e`); the devices
    (`d`) are spread over the parts `0` to `7`, so that no document grows with the whole fleet.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "usage_hours", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    at = DateTimeField(required=True)
    part = StringField(required=True)
    c = IntField()
    q = DictField()
    e = DictField()
    d = DictField()


class Day(Document):
    """What it logged in one day of `zone`, UTC or its own, in the same parts; without quarters.

    Under the day on which a week begins, the parts `w0` to `w7` are what its devices come to in all days of it.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "usage_days", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    zone = StringField(required=True)
    at = DateTimeField(required=True)
    part = StringField(required=True)
    rebuilds = IntField()
    c = IntField()
    e = DictField()
    d = DictField()


class DeviceDay(Document):
    """What a device logged of one event in one day of UTC: all of it (`t`), and by quarters of an hour (`q`)."""

    meta: ClassVar[dict[str, Any]] = {"collection": "usage_devices", "queryset_class": TenantQuerySet}

    organization_id = ObjectIdField(required=True)
    device_id = ObjectIdField(required=True)
    event = StringField(required=True)
    at = DateTimeField(required=True)
    t = DictField()
    q = DictField()


class Zone(Document):
    """The zone beside UTC in which an organization's days are counted, by its id; `ready` once all of them are."""

    meta: ClassVar[dict[str, Any]] = {"collection": "usage_zones"}

    zone = StringField(required=True)
    ready = BooleanField(default=False)
