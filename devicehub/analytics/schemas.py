"""What is asked of analytics, and what they answer."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from devicehub.core.calendar import Ago
from devicehub.logs.models import LEVELS, USAGE
from devicehub.web.fields import Span, Text, Timestamp, Timezone
from devicehub.web.schemas import Schema

LEAST_COMPARED, MOST_COMPARED = 2, 20

TWO_IDS = "65f0a1b2c3d4e5f6a7b8c9d2,65f0a1b2c3d4e5f6a7b8c9d3"

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}
_NAME = {"example": "Boiler room sensor"}
_AMOUNT = {"example": 12.5}
_COUNT = {"example": 42}
_EVENT = {"example": USAGE}


class AgoField(Span):
    """A span of which it matters whether it was given in hours or in days: those of a calendar."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        super()._deserialize(value, attr, data, **kwargs)
        return Ago(int(value[:-1]), "day" if value.endswith("d") else "hour")


class RangeQuerySchema(Schema):
    """`range`, or `from` and `to`."""

    range = AgoField(
        metadata={
            "description": "`24h` is the running hour and the 23 before it, `7d` today and the 6 days before it "
            "in `timezone`; `7d` if nothing is said.",
        }
    )
    start = Timestamp(
        data_key="from", attribute="from", metadata={"description": "With `to`, in the place of `range`."}
    )
    end = Timestamp(data_key="to", attribute="to", metadata={"description": "Until just before then."})
    interval = fields.String(
        validate=validate.OneOf(("hour", "day", "week", "month")),
        metadata={"description": "Of the buckets; `hour` up to two days, else `day`, if nothing is said."},
    )
    timezone = Timezone(
        metadata={"description": "What days are counted in; the organization's, if nothing is said."}
    )

    @validates_schema
    def _refuse_two_ranges(self, data: dict[str, Any], **_: Any) -> None:
        if "range" in data and ("from" in data or "to" in data):
            raise ValidationError({"range": ["Not beside `from` and `to`."]})


class UsageQuerySchema(RangeQuerySchema):
    event = Text(
        100, shortest=1, metadata={"description": f"Whose values are used; `{USAGE}` if nothing is said."}
    )
    percentiles = fields.Boolean(
        load_default=False, metadata={"description": "Whether to tell the median and the 95th percentile, too."}
    )


class ComparisonQuerySchema(RangeQuerySchema):
    devices = fields.String(
        required=True,
        metadata={"description": "2 to 20 ids, with commas between them.", "example": TWO_IDS},
    )
    event = Text(
        100, shortest=1, metadata={"description": f"Whose values are used; `{USAGE}` if nothing is said."}
    )


class RangeSchema(Schema):
    start = Timestamp(required=True, data_key="from")
    end = Timestamp(required=True, data_key="to")
    interval = fields.String(required=True, validate=validate.OneOf(("hour", "day", "week", "month")))
    timezone = fields.String(required=True, metadata={"example": "Europe/Berlin"})
    oldest_kept = Timestamp(
        required=True, metadata={"description": "Nothing from before then is kept or counted."}
    )


def _amount(*, allow_none: bool = False, **metadata: str) -> fields.Float:
    return fields.Float(required=True, allow_none=allow_none, metadata=_AMOUNT | metadata)


def _count() -> fields.Integer:
    return fields.Integer(required=True, metadata=_COUNT)


class BucketSchema(Schema):
    timestamp = Timestamp(required=True, metadata={"description": "When it begins."})
    usage = _amount()
    average = _amount(allow_none=True)
    log_count = _count()


class UsageSummarySchema(Schema):
    total_units = _amount()
    average_per_log = _amount(allow_none=True, description="Of the logs that have a value.")
    minimum = _amount(allow_none=True)
    maximum = _amount(allow_none=True)
    log_count = _count()
    p50 = fields.Float(allow_none=True, metadata=_AMOUNT)
    p95 = fields.Float(allow_none=True, metadata=_AMOUNT)


class UsageSchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    device_name = fields.String(required=True, metadata=_NAME)
    event = fields.String(required=True, metadata=_EVENT)
    range = fields.Nested(RangeSchema, required=True)
    summary = fields.Nested(UsageSummarySchema, required=True)
    trend = fields.List(fields.Nested(BucketSchema), required=True)


class DashboardSummarySchema(Schema):
    total_devices = _count()
    active_devices = _count()
    online_devices = _count()
    total_logs = fields.Integer(required=True, metadata=_COUNT | {"description": "All that are kept."})
    recent_logs = fields.Integer(required=True, metadata=_COUNT | {"description": "Those in the range."})
    total_usage = _amount()
    range = fields.Nested(RangeSchema, required=True)


class DeviceUsageSchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    device_name = fields.String(required=True, metadata=_NAME)
    device_type = fields.String(required=True, metadata={"example": "temperature"})
    usage = _amount()
    average = _amount(allow_none=True)
    log_count = _count()
    share = _amount(description="Per cent.")


class EventSchema(Schema):
    event = fields.String(required=True, metadata=_EVENT)
    count = _count()
    share = _amount(description="Per cent.")
    total = _amount()
    average = _amount(allow_none=True)


class TypeSchema(Schema):
    type = fields.String(required=True, metadata={"example": "temperature"})
    count = _count()
    active = _count()
    online = _count()


class DashboardSchema(Schema):
    """As of `generatedAt`: up to 5 minutes ago."""

    summary = fields.Nested(DashboardSummarySchema, required=True)
    device_breakdown = fields.List(
        fields.Nested(DeviceUsageSchema), required=True, metadata={"description": "The 100 that used most."}
    )
    usage_trend = fields.List(fields.Nested(BucketSchema), required=True)
    event_distribution = fields.List(
        fields.Nested(EventSchema), required=True, metadata={"description": "The 100 that came most often."}
    )
    device_types = fields.List(fields.Nested(TypeSchema), required=True)
    generated_at = Timestamp(required=True)


class ComparedSchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    device_name = fields.String(required=True, metadata=_NAME)
    total_usage = _amount()
    average_usage = _amount(allow_none=True)
    minimum = _amount(allow_none=True)
    maximum = _amount(allow_none=True)
    log_count = fields.Integer(required=True, metadata=_COUNT | {"description": "Of all events."})
    unique_events = _count()
    share = _amount(description="Per cent.")
    rank = fields.Integer(required=True, metadata={"example": 1})


class ComparisonSchema(Schema):
    event = fields.String(required=True, metadata=_EVENT)
    range = fields.Nested(RangeSchema, required=True)
    total_usage = _amount()
    devices = fields.List(fields.Nested(ComparedSchema), required=True)


class ChangeSchema(Schema):
    """A number beside what it was; null where what it was is not kept any more."""

    current = _amount()
    previous = _amount(allow_none=True)
    change = _amount(allow_none=True)
    change_percent = _amount(allow_none=True, description="Null also where it was 0.")


class MoverSchema(ChangeSchema):
    device_id = fields.String(required=True, metadata=_ID)
    device_name = fields.String(required=True, metadata=_NAME)


class ExpectedSchema(Schema):
    timestamp = Timestamp(required=True, metadata={"description": "When the day begins."})
    usage = _amount()


class ForecastSchema(Schema):
    """A guess: a line through the whole days that are known, with the profile of their weekdays."""

    method = fields.String(required=True, metadata={"example": "linear trend with weekday profile"})
    based_on_days = _count()
    expected_usage = _amount()
    buckets = fields.List(fields.Nested(ExpectedSchema), required=True)


class TrendsSchema(Schema):
    range = fields.Nested(RangeSchema, required=True)
    previous = fields.Nested(RangeSchema, required=True, allow_none=True)
    usage = fields.Nested(ChangeSchema, required=True)
    logs = fields.Nested(ChangeSchema, required=True)
    top_movers = fields.List(
        fields.Nested(MoverSchema), required=True, metadata={"description": "The 10 devices that changed most."}
    )
    forecast = fields.Nested(
        ForecastSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Null with less than 4 whole days."},
    )


class ActivitySchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    device_name = fields.String(required=True, metadata=_NAME)
    event = fields.String(required=True, metadata=_EVENT)
    level = fields.String(required=True, validate=validate.OneOf(LEVELS))
    value = fields.Float(required=True, allow_none=True, metadata=_AMOUNT)
    timestamp = Timestamp(required=True)


class RealtimeSchema(Schema):
    online_devices = _count()
    late_devices = _count()
    offline_devices = _count()
    heartbeats_per_minute = fields.Integer(
        required=True,
        allow_none=True,
        metadata=_COUNT | {"description": "Of the last minute; null while Redis, which counts them, is away."},
    )
    logs_per_minute = fields.Integer(required=True, metadata=_COUNT | {"description": "Of the last minute."})
    current_hour_logs = _count()
    recent_activity = fields.List(fields.Nested(ActivitySchema), required=True)
    last_updated = Timestamp(required=True)
