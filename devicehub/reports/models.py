"""Reports that are made by themselves, again and again; and in which formats there are any."""

from typing import Any, ClassVar

from bson import ObjectId
from mongoengine import BooleanField, DateTimeField, DictField, IntField, ObjectIdField, StringField

from devicehub.core.actor import Actor
from devicehub.core.documents import Document, TenantQuerySet

TYPES = ("usage_report", "device_report")
FORMATS = ("csv", "json", "ndjson", "xlsx", "pdf")
FREQUENCIES = ("daily", "weekly", "monthly")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ScheduleQuerySet(TenantQuerySet):
    @staticmethod
    def conditions(actor: Actor) -> dict[str, Any]:
        """One's own, in the active organization."""
        return {**TenantQuerySet.conditions(actor), "user_id": ObjectId(actor.user_id)}


class Schedule(Document):
    """A report that somebody wants regularly: at `hour` of their organization's zone.

    `next_run_at` is there while it is enabled, and tells which are due. `revision` counts what its owner changes.
    `weekday` is of a weekly one, `day` of a monthly one.
    """

    meta: ClassVar[dict[str, Any]] = {"collection": "report_schedules", "queryset_class": ScheduleQuerySet}

    organization_id = ObjectIdField(required=True)
    user_id = ObjectIdField(required=True)
    name = StringField(required=True)
    type = StringField(choices=TYPES, required=True)
    format = StringField(choices=FORMATS, required=True)
    frequency = StringField(choices=FREQUENCIES, required=True)
    weekday = StringField(choices=WEEKDAYS, required=True)
    day = IntField(required=True)
    hour = IntField(required=True)
    filters = DictField()
    enabled = BooleanField(required=True)
    next_run_at = DateTimeField()
    last_run_at = DateTimeField()
    last_export_id = ObjectIdField()
    revision = IntField(default=1)
    created_at = DateTimeField(required=True)
    updated_at = DateTimeField(required=True)
