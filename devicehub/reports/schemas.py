"""What of reports and their schedules goes in and out."""

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from devicehub.analytics.schemas import TWO_IDS, RangeQuerySchema, RangeSchema
from devicehub.reports.models import FORMATS, FREQUENCIES, TYPES, WEEKDAYS
from devicehub.web.fields import Flag, Text, Timestamp, Whole
from devicehub.web.schemas import Schema, envelope

MOST_DEVICES, MOST_EVENTS = 100, 20

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d9"}
_NAME = {"example": "Usage of yesterday"}
_HOUR = {"description": "Of the day in the organization's time zone.", "example": 6}
_WEEKDAY = {"description": "Of a weekly one.", "example": "monday"}
_DAY = {"description": "Of the month, of a monthly one.", "example": 1}
_FILTERS = {
    "description": "What a report is of; all of it without any. They are kept, and given, as a whole.",
    "example": {"deviceIds": ["65f0a1b2c3d4e5f6a7b8c9d2"], "eventTypes": [], "includeInactive": False},
}


class UsageReportQuerySchema(RangeQuerySchema):
    """A range, told in days; of some devices, and then of some events."""

    class Meta(RangeQuerySchema.Meta):
        exclude = ("interval",)

    devices = fields.String(
        metadata={"description": f"Up to {MOST_DEVICES} ids, with commas between them.", "example": TWO_IDS}
    )
    event = fields.List(
        Text(100, shortest=1),
        data_key="event",
        attribute="events",
        validate=validate.Length(max=MOST_EVENTS),
        metadata={
            "description": "Only these events, whose values are then what is used; takes `devices`: of a whole "
            "fleet an export tells."
        },
    )

    @validates_schema
    def _refuse_events_of_all(self, data: dict[str, Any], **_: Any) -> None:
        if data.get("events") and "devices" not in data:
            raise ValidationError({"event": ["Name `devices` beside it."]})


class SeriesSchema(Schema):
    name = fields.String(required=True, metadata={"example": "Usage"})
    data = fields.List(fields.Float(allow_none=True), required=True, metadata={"example": [12.5, 0, None]})


class ChartSchema(Schema):
    id = fields.String(required=True, metadata={"example": "usage-by-day"})
    type = fields.String(required=True, validate=validate.OneOf(("line", "bar", "pie")))
    title = fields.String(required=True, metadata={"example": "Usage by day"})
    labels = fields.List(fields.String(), required=True, metadata={"example": ["2026-01-29", "2026-01-30"]})
    series = fields.List(fields.Nested(SeriesSchema), required=True)


class ColumnSchema(Schema):
    name = fields.String(required=True, metadata={"example": "usage"})
    label = fields.String(required=True, metadata={"example": "Usage"})
    type = fields.String(required=True, validate=validate.OneOf(("text", "number", "time")))


class TableSchema(Schema):
    id = fields.String(required=True, metadata={"example": "devices"})
    title = fields.String(required=True, metadata={"example": "Devices"})
    columns = fields.List(fields.Nested(ColumnSchema), required=True)
    count = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "How many rows there are, of which at most 1000 are here.", "example": 1},
    )
    rows = fields.List(
        fields.Dict(), required=True, metadata={"description": "By the names of the columns.", "example": []}
    )


class ReportSchema(Schema):
    """Chart-ready; as of `generatedAt`, up to 5 minutes ago."""

    title = fields.String(required=True, metadata={"example": "Usage report"})
    generated_at = Timestamp(required=True)
    range = fields.Nested(RangeSchema, required=True)
    charts = fields.List(fields.Nested(ChartSchema), required=True)
    tables = fields.List(fields.Nested(TableSchema), required=True)


class FiltersSchema(Schema):
    device_ids = fields.List(
        fields.String(validate=validate.Length(max=64)),
        load_default=list,
        validate=validate.Length(max=MOST_DEVICES),
        metadata={"description": "Only these devices.", "example": ["65f0a1b2c3d4e5f6a7b8c9d2"]},
    )
    event_types = fields.List(
        Text(100, shortest=1),
        load_default=list,
        validate=validate.Length(max=MOST_EVENTS),
        metadata={"description": "Of a usage report: only these events.", "example": ["units_consumed"]},
    )
    include_inactive = Flag(
        load_default=False, metadata={"description": "Of a device report: inactive devices too.", "example": False}
    )


def _schedule(**how: Any) -> dict[str, fields.Field[Any]]:
    """What its owner says of a schedule."""
    return {
        "name": Text(100, shortest=2, metadata=_NAME, **how),
        "type": fields.String(validate=validate.OneOf(TYPES), metadata={"example": "usage_report"}, **how),
        "format": fields.String(validate=validate.OneOf(FORMATS), metadata={"example": "pdf"}, **how),
        "frequency": fields.String(validate=validate.OneOf(FREQUENCIES), metadata={"example": "daily"}, **how),
        "hour": Whole(0, 23, metadata=_HOUR, **how),
    }


def _days(**defaults: Any) -> dict[str, fields.Field[Any]]:
    def how(name: str) -> dict[str, Any]:
        return {"load_default": defaults[name]} if name in defaults else {}

    return {
        "weekday": fields.String(validate=validate.OneOf(WEEKDAYS), metadata=_WEEKDAY, **how("weekday")),
        "day": Whole(1, 28, metadata=_DAY, **how("day")),
        "filters": fields.Nested(FiltersSchema, metadata=_FILTERS, **how("filters")),
        "enabled": Flag(metadata={"example": True}, **how("enabled")),
    }


def _no_filters() -> dict[str, Any]:
    return {"device_ids": [], "event_types": [], "include_inactive": False}


class SchedulePatchSchema(Schema):
    class Meta(Schema.Meta):
        include: ClassVar = {**_schedule(), **_days()}


class NewScheduleSchema(Schema):
    class Meta(Schema.Meta):
        include: ClassVar = {
            **_schedule(required=True),
            **_days(weekday="monday", day=1, filters=_no_filters, enabled=True),
        }


class ScheduleSchema(Schema):
    class Meta(Schema.Meta):
        include: ClassVar = {
            **_schedule(required=True),
            "weekday": fields.String(required=True, validate=validate.OneOf(WEEKDAYS), metadata=_WEEKDAY),
            "day": fields.Integer(required=True, metadata=_DAY),
        }

    id = fields.String(required=True, metadata=_ID)
    filters = fields.Nested(FiltersSchema, required=True, metadata=_FILTERS)
    enabled = fields.Boolean(required=True, metadata={"example": True})
    next_run_at = Timestamp(required=True, allow_none=True, metadata={"description": "Null while not enabled."})
    last_run_at = Timestamp(required=True, allow_none=True)
    last_export_id = fields.String(required=True, allow_none=True, metadata={"example": None})
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


ScheduleListSchema = envelope(ScheduleSchema)


class RunSchema(Schema):
    schedule_id = fields.String(required=True, metadata=_ID)
    job_id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9da"})
    start_date = Timestamp(required=True, metadata={"description": "The days it is of begin then."})
    end_date = Timestamp(required=True, metadata={"description": "And end just before then."})
