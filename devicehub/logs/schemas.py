"""What of logs goes in and out."""

from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from devicehub.jobs.models import STATUSES
from devicehub.logs.models import LEVELS
from devicehub.web.fields import NUMBER, NUMBERS_END, JsonObject, Text, Timestamp, Unjudged, Whole
from devicehub.web.schemas import CursorQuerySchema, Schema, cursor_envelope

LARGEST_BATCH = 1000
LARGEST_METADATA = 4 << 10

_DEVICE = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}
_EVENT = {"example": "units_consumed"}
_MESSAGE = {"example": "Burner on"}
_METADATA = {"example": {"burner": 2}}
_SEQUENCE = {"description": "The device's own count of its logs: what comes again is dropped.", "example": 41}


class _LogFields(Schema):
    """One thing that happened. Up to 5 minutes ahead and 30 days back; without `timestamp` it happened now."""

    event = Text(100, shortest=1, required=True, metadata=_EVENT)
    value = fields.Float(
        validate=validate.Range(-NUMBERS_END, NUMBERS_END, min_inclusive=False, max_inclusive=False),
        metadata={"schema": NUMBER, "example": 0.75},
    )
    level = fields.String(load_default="info", validate=validate.OneOf(LEVELS))
    message = Text(2000, metadata=_MESSAGE)
    timestamp = Timestamp()
    metadata = JsonObject(
        largest=LARGEST_METADATA,
        metadata=_METADATA | {"description": "Any object of at most 4 KB; kept as it is."},
    )
    sequence = Whole(0, (1 << 53) - 1, metadata=_SEQUENCE)


class NewLogSchema(_LogFields):
    pass


class NewLogsSchema(_LogFields):
    """One log, or `logs` with up to 1000, of which each is judged by itself."""

    keywords: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["event"], "not": {"required": ["logs"]}},
            {"required": ["logs"], "maxProperties": 1},
        ]
    }

    event = Text(100, shortest=1, metadata=_EVENT)
    level = fields.String(validate=validate.OneOf(LEVELS), metadata={"default": "info"})
    logs = fields.List(
        Unjudged(lambda: NewLogSchema()),
        validate=validate.Length(1, LARGEST_BATCH),
    )

    @validates_schema
    def _refuse_both_and_neither(self, data: dict[str, Any], **_: Any) -> None:
        others = data.keys() - {"logs"}
        if "logs" in data and others:
            raise ValidationError({name: ["Not beside `logs`."] for name in sorted(others)})
        if "logs" not in data and "event" not in data:
            raise ValidationError({"event": ["Missing data for required field."]})


class LogSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9e1"})
    device_id = fields.String(required=True, metadata=_DEVICE)
    event = fields.String(required=True, metadata=_EVENT)
    level = fields.String(required=True, validate=validate.OneOf(LEVELS))
    value = fields.Float(required=True, allow_none=True, metadata={"example": 0.75})
    message = fields.String(required=True, allow_none=True, metadata=_MESSAGE)
    metadata = fields.Dict(required=True, metadata=_METADATA)
    sequence = fields.Integer(required=True, allow_none=True, metadata=_SEQUENCE)
    timestamp = Timestamp(required=True)
    received_at = Timestamp(required=True)


class RejectedSchema(Schema):
    index = fields.Integer(required=True, metadata={"example": 1})
    errors = fields.Dict(required=True, metadata={"example": {"event": ["Missing data for required field."]}})


class AddedSchema(Schema):
    """Of one log, `log`; of `logs`, how many were taken, how many were there already, and which were not."""

    log = fields.Nested(LogSchema)
    accepted = fields.Integer(metadata={"example": 1})
    duplicates = fields.Integer(metadata={"example": 0})
    rejected = fields.List(fields.Nested(RejectedSchema))


LogListSchema = cursor_envelope(LogSchema)


class LogQuerySchema(CursorQuerySchema):
    """With what no index picks out, a part may hold less than `limit` of them, and yet not be the last."""

    aliases: ClassVar[dict[str, str]] = {**CursorQuerySchema.aliases, "from_": "from"}

    event = Text(100, shortest=1)
    level = fields.String(validate=validate.OneOf(LEVELS))
    start = Timestamp(data_key="from", metadata={"description": "From then on."})
    end = Timestamp(data_key="to", metadata={"description": "Until just before then."})
    search = Text(100, metadata={"description": "Part of the message or the event, taken literally."})
    order = fields.String(
        load_default="desc",
        validate=validate.OneOf(("asc", "desc")),
        metadata={"description": "`desc` is newest first."},
    )


class AllLogsQuerySchema(LogQuerySchema):
    device_id = fields.List(
        fields.String(validate=validate.Length(max=50)),
        validate=validate.Length(max=20),
        metadata={"description": "Only of these devices."},
    )


class WrongLineSchema(Schema):
    line = fields.Integer(required=True, metadata={"description": "Its number, from 1.", "example": 3})
    errors = fields.Dict(required=True, metadata={"example": {"event": ["Missing data for required field."]}})


class ImportResultSchema(Schema):
    """What became of the lines, empty ones aside."""

    lines = fields.Integer(required=True, metadata={"example": 2})
    accepted = fields.Integer(required=True, metadata={"example": 1})
    duplicates = fields.Integer(
        required=True, metadata={"description": "Whose `sequence` was there already.", "example": 0}
    )
    rejected = fields.Integer(required=True, metadata={"example": 1})
    errors = fields.List(
        fields.Nested(WrongLineSchema), required=True, metadata={"description": "Of the first 1000, in order."}
    )
    errors_cut = fields.Boolean(
        required=True, metadata={"description": "Whether more were rejected than are told.", "example": False}
    )


class ProgressSchema(Schema):
    percentage = fields.Float(required=True, metadata={"example": 50.0})
    current_step = fields.String(required=True, metadata={"example": "importing logs"})
    processed_records = fields.Integer(required=True, metadata={"example": 10_000})
    total_records = fields.Integer(required=True, metadata={"example": 20_000})


class ImportSchema(Schema):
    """Many lines, which a job writes; `result` is of those that are done."""

    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9e2"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    progress = fields.Nested(ProgressSchema, required=True)
    result = fields.Nested(ImportResultSchema, required=True)
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it failed: a code.", "example": None}
    )
    created_at = Timestamp(required=True)
    finished_at = Timestamp(required=True, allow_none=True)


ImportListSchema = cursor_envelope(ImportSchema)


class GapSchema(Schema):
    start = fields.Integer(required=True, data_key="from", metadata={"description": "The first.", "example": 42})
    end = fields.Integer(required=True, data_key="to", metadata={"description": "The last.", "example": 44})
    missing = fields.Integer(required=True, metadata={"example": 3})


class GapsSchema(Schema):
    """The numbers that are missing between the least and the greatest sequence that are kept of a device."""

    device_id = fields.String(required=True, metadata=_DEVICE)
    first = fields.Integer(required=True, allow_none=True, metadata={"example": 1})
    last = fields.Integer(required=True, allow_none=True, metadata={"example": 120})
    missing = fields.Integer(required=True, metadata={"description": "Of all gaps.", "example": 3})
    gaps = fields.List(
        fields.Nested(GapSchema), required=True, metadata={"description": "The first 100, in order."}
    )
