"""What is asked of exports, and what they tell."""

from collections.abc import Iterator
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, validate, validates_schema

from devicehub.exports.models import FORMATS, LAYOUTS, LOG_FORMATS, TYPES
from devicehub.jobs.models import STATUSES
from devicehub.logs.models import LEVELS
from devicehub.web.fields import Flag, Text, Timestamp
from devicehub.web.schemas import PageQuerySchema, Schema, envelope

MOST_DEVICES, MOST_EVENTS = 500, 100

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}
_NO_RANGE = {"not": {"required": ["dateRange"]}}


class ExportRangeSchema(Schema):
    """At most 366 days."""

    start_date = Timestamp(required=True, metadata={"example": "2026-01-01T00:00:00.000Z"})
    end_date = Timestamp(
        required=True, metadata={"description": "Until just before then.", "example": "2026-02-01T00:00:00.000Z"}
    )


class ExportFiltersSchema(Schema):
    """What does not concern the type of the export is refused."""

    device_ids = fields.List(
        fields.String(validate=validate.Length(max=64)),
        validate=validate.Length(max=MOST_DEVICES),
        metadata={"description": "Only of these; of all without it.", "example": ["65f0a1b2c3d4e5f6a7b8c9d2"]},
    )
    event_types = fields.List(
        Text(100, shortest=1),
        validate=validate.Length(max=MOST_EVENTS),
        metadata={"description": "Only these events; not of a device report.", "example": ["units_consumed"]},
    )
    levels = fields.List(
        fields.String(validate=validate.OneOf(LEVELS)),
        validate=validate.Length(max=len(LEVELS)),
        metadata={"description": "Only these; of logs only.", "example": ["error", "critical"]},
    )
    include_inactive = Flag(
        metadata={
            "description": "Whether devices that are inactive are in it, as they are if nothing is said; "
            "of a device report only.",
            "example": True,
        }
    )


# What of the whole depends on its type: which formats there are, and what does not concern it.
_FITTING: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "logs": (LOG_FORMATS, ("include_inactive",)),
    "usage_report": (FORMATS, ("levels", "include_inactive")),
    "device_report": (FORMATS, ("event_types", "levels")),
}
_NAMES = {"include_inactive": "includeInactive", "levels": "levels", "event_types": "eventTypes"}


def _rules() -> Iterator[dict[str, Any]]:
    for kind, (formats, unfitting) in _FITTING.items():
        then: dict[str, Any] = {
            "properties": {
                "format": {"enum": list(formats)},
                "filters": {"not": {"anyOf": [{"required": [_NAMES[name]]} for name in unfitting]}},
            }
        }
        then |= _NO_RANGE if kind == "device_report" else {"required": ["dateRange"]}
        yield {"if": {"properties": {"type": {"const": kind}}}, "then": then}
    is_csv_of_logs = {"properties": {"type": {"const": "logs"}, "format": {"const": "csv"}}}
    yield {"if": {"not": is_csv_of_logs}, "then": {"properties": {"layout": {"const": "long"}}}}


class NewExportSchema(Schema):
    keywords: ClassVar[dict[str, Any]] = {"allOf": list(_rules())}

    type = fields.String(required=True, validate=validate.OneOf(TYPES), metadata={"example": "logs"})
    format = fields.String(
        required=True,
        validate=validate.OneOf(FORMATS),
        metadata={"description": "`xlsx` and `pdf` of reports only.", "example": "csv"},
    )
    date_range = fields.Nested(
        ExportRangeSchema,
        metadata={
            "description": "Of a device report there is none, of the others there has to be.",
            "example": {"startDate": "2026-01-01T00:00:00.000Z", "endDate": "2026-02-01T00:00:00.000Z"},
        },
    )
    filters = fields.Nested(ExportFiltersSchema, metadata={"example": {"levels": ["error", "critical"]}})
    layout = fields.String(
        validate=validate.OneOf(LAYOUTS),
        metadata={
            "description": "`long`: a row for each log. `wide`, for a CSV of logs: a row for each moment of a "
            "device, and a column for each event.",
            "example": "long",
        },
    )
    compress = Flag(metadata={"description": "Whether the file is to be gzipped.", "example": False})

    @validates_schema
    def _fit_together(self, data: dict[str, Any], **_: Any) -> None:
        if wrong := dict(_misfits(data)):
            raise ValidationError(wrong)


def _misfits(data: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = data["type"]
    formats, unfitting = _FITTING[kind]
    if data["format"] not in formats:
        yield "format", [f"Of {kind} there is {', '.join(formats)}."]
    if ("date_range" in data) is (kind == "device_report"):
        yield "dateRange", ["There is none of a device report." if "date_range" in data else "Say of which time."]
    if found := [_NAMES[name] for name in unfitting if name in data.get("filters", {})]:
        yield "filters", {name: [f"It does not concern {kind}."] for name in found}
    if data.get("layout") == "wide" and (kind, data["format"]) != ("logs", "csv"):
        yield "layout", ["Only a CSV of logs is wide."]


class ExportProgressSchema(Schema):
    percentage = fields.Integer(
        required=True, allow_none=True, metadata={"description": "Null while that is not known.", "example": 42}
    )
    current_step = fields.String(required=True, allow_none=True, metadata={"example": "Writing"})
    processed_records = fields.Integer(required=True, metadata={"example": 420_000})
    total_records = fields.Integer(required=True, allow_none=True, metadata={"example": 1_000_000})


class ExportResultSchema(Schema):
    file_name = fields.String(required=True, metadata={"example": "logs_20260101-20260201_b8c9d2.csv"})
    file_size = fields.Integer(required=True, metadata={"description": "In bytes.", "example": 81_234_567})
    record_count = fields.Integer(required=True, metadata={"example": 1_000_000})
    sha256 = fields.String(
        required=True,
        metadata={
            "description": "Of the file's bytes, in hex.",
            "example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    )
    download_count = fields.Integer(required=True, metadata={"example": 1})
    expires_at = Timestamp(required=True, metadata={"description": "From then on the file is not there any more."})


class ExportErrorSchema(Schema):
    code = fields.String(required=True, metadata={"example": "EXPORT_STORAGE_FULL"})
    message = fields.String(required=True, metadata={"example": "There was not enough room for the file."})


class ExportSchema(Schema):
    job_id = fields.String(required=True, metadata=_ID)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES), metadata={"example": "completed"})
    type = fields.String(required=True, validate=validate.OneOf(TYPES))
    format = fields.String(required=True, validate=validate.OneOf(FORMATS))
    layout = fields.String(required=True, validate=validate.OneOf(LAYOUTS))
    compress = fields.Boolean(required=True, metadata={"example": False})
    date_range = fields.Nested(ExportRangeSchema, required=True, allow_none=True)
    filters = fields.Nested(ExportFiltersSchema, required=True)
    schedule_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Of the schedule that asked for it.", "example": None},
    )
    progress = fields.Nested(ExportProgressSchema, required=True)
    result = fields.Nested(
        ExportResultSchema, required=True, allow_none=True, metadata={"description": "Null until it is completed."}
    )
    error = fields.Nested(
        ExportErrorSchema, required=True, allow_none=True, metadata={"description": "Only of one that failed."}
    )
    attempts = fields.Integer(required=True, metadata={"example": 1})
    created_at = Timestamp(required=True)
    started_at = Timestamp(required=True, allow_none=True, metadata={"description": "The last attempt."})
    completed_at = Timestamp(required=True, allow_none=True, metadata={"description": "When it ended, however."})
    duration = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Of the last attempt, in seconds.", "example": 8.25},
    )


ExportListSchema = envelope(ExportSchema)


class ExportQuerySchema(PageQuerySchema):
    status = fields.String(validate=validate.OneOf(STATUSES))
    type = fields.String(validate=validate.OneOf(TYPES))


ByStatusSchema = Schema.from_dict(
    {status: fields.Integer(required=True, metadata={"example": 1}) for status in STATUSES},
    name="ExportsByStatusSchema",
)


class ExportStatsSchema(Schema):
    total = fields.Integer(required=True, metadata={"example": 6})
    by_status = fields.Nested(ByStatusSchema, required=True)
    bytes = fields.Integer(required=True, metadata={"description": "Of all files made.", "example": 81_234_567})
    records = fields.Integer(required=True, metadata={"example": 1_000_000})
    downloads = fields.Integer(required=True, metadata={"example": 2})


class LogExportQuerySchema(Schema):
    start = Timestamp(
        data_key="from", metadata={"description": "366 days before `to` if nothing is said, which is the most."}
    )
    end = Timestamp(data_key="to", metadata={"description": "Until just before then; until now without it."})
    format = fields.String(load_default="csv", validate=validate.OneOf(LOG_FORMATS))
    layout = fields.String(load_default="long", validate=validate.OneOf(LAYOUTS))
    event = Text(100, shortest=1)
    level = fields.String(validate=validate.OneOf(LEVELS))
