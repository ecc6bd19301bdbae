"""What of a device goes in and out."""

from datetime import timedelta
from typing import Any

from marshmallow import ValidationError, fields, validate

from devicehub.devices.models import PRESENCES, STATUSES
from devicehub.web.fields import NAME, NUMBER, Flag, JsonObject, Span, Text, Timestamp, Unjudged, Whole
from devicehub.web.schemas import PageQuerySchema, ProblemSchema, Schema, cursor_envelope, envelope

LARGEST_METADATA = 16 << 10
MOST_METRICS, LONGEST_METRIC, LARGEST_METRICS = 50, 100, 32 << 10
LARGEST_BATCH = 500
SORTS = ("name", "createdAt", "lastActiveAt")
SIGNALS = ("heartbeat", "log", "goodbye")
CAUSES = (*SIGNALS, "silence", "interval")

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}
_ORGANIZATION = {"example": "65f0a1b2c3d4e5f6a7b8c9d1"}
_OWNER = {"example": "65f0a1b2c3d4e5f6a7b8c9d0"}
_CREATOR = {"description": "The user who made it.", "example": "65f0a1b2c3d4e5f6a7b8c9d0"}
_KEY_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d4"}
_KEY = {"example": "dhd_65f0a1b2c3d4e5f6a7b8c9d4_q1Zk..."}
_INTERVAL = {"description": "Seconds.", "example": 60}
_METADATA = {"example": {"room": "B12", "service": {"year": 2026}}}
_METRICS = {"example": {"temperature": 21.5, "battery": 87}}


def _refuse_odd_metrics(value: dict[str, Any]) -> None:
    if len(value) > MOST_METRICS:
        raise ValidationError(f"More than {MOST_METRICS} metrics.")
    for name, number in value.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not 0 < len(name) <= LONGEST_METRIC:
            raise ValidationError(f"Metrics are numbers under names of 1 to {LONGEST_METRIC} characters.")


class DeviceSchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    organization_id = fields.String(required=True, metadata=_ORGANIZATION)
    owner_id = fields.String(required=True, metadata=_OWNER)
    name = fields.String(required=True, metadata={"example": "Boiler room sensor"})
    type = fields.String(required=True, metadata={"example": "temperature"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    presence = fields.String(
        required=True,
        validate=validate.OneOf(PRESENCES),
        metadata={"description": "The server's own finding; nobody sets it."},
    )
    last_active_at = Timestamp(required=True, allow_none=True)
    heartbeat_interval = fields.Integer(required=True, metadata=_INTERVAL)
    serial_number = fields.String(required=True, allow_none=True, metadata={"example": "SN-0001"})
    location = fields.String(required=True, allow_none=True, metadata={"example": "Basement"})
    tags = fields.List(fields.String(), required=True, metadata={"example": ["heating"]})
    metadata = fields.Dict(required=True, metadata=_METADATA)
    firmware_version = fields.String(required=True, allow_none=True, metadata={"example": "1.4.2"})
    metrics = fields.Dict(keys=fields.String(), values=fields.Float(), required=True, metadata=_METRICS)
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class DevicePatchSchema(Schema):
    name = Text(100, shortest=2, metadata={"example": "Boiler room sensor"})
    type = Text(50, shortest=2, metadata={"example": "temperature"})
    status = fields.String(validate=validate.OneOf(STATUSES))
    serial_number = Text(100, shortest=1, allow_none=True, metadata={"example": "SN-0001"})
    location = Text(200, allow_none=True, metadata={"example": "Basement"})
    tags = fields.List(Text(50, shortest=1), validate=validate.Length(max=20), metadata={"example": ["heating"]})
    metadata = JsonObject(
        largest=LARGEST_METADATA,
        metadata=_METADATA | {"description": "Any object of at most 16 KB; kept as it is."},
    )
    heartbeat_interval = Whole(5, 86_400, metadata=_INTERVAL)


class NewDeviceSchema(DevicePatchSchema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Boiler room sensor"})
    type = Text(50, shortest=2, required=True, metadata={"example": "temperature"})
    status = fields.String(load_default="active", validate=validate.OneOf(STATUSES))
    heartbeat_interval = Whole(5, 86_400, metadata=_INTERVAL | {"default": 60})


class NewDevicesSchema(Schema):
    """Each device is judged by itself, so one that is wrong does not keep the others out."""

    devices = fields.List(
        fields.Raw(allow_none=True, metadata={"schema": {"$ref": "#/components/schemas/NewDevice"}}),
        required=True,
        validate=validate.Length(1, LARGEST_BATCH),
        metadata={"example": [{"name": "Boiler room sensor", "type": "temperature"}]},
    )
    issue_keys = Flag(
        load_default=False,
        metadata={"description": "Whether each new device gets a key at once.", "example": True},
    )


class BatchItemSchema(Schema):
    index = fields.Integer(required=True, metadata={"example": 0})
    status = fields.Integer(
        required=True, metadata={"description": "201, or what the error says.", "example": 201}
    )
    device = fields.Nested(DeviceSchema)
    key = fields.String(metadata=_KEY | {"description": "The new device's key, if asked for; told this once."})
    error = fields.Nested(ProblemSchema)


class BatchResultSchema(Schema):
    created = fields.Integer(required=True, metadata={"example": 1})
    failed = fields.Integer(required=True, metadata={"example": 0})
    items = fields.List(fields.Nested(BatchItemSchema), required=True)


DeviceListSchema = envelope(DeviceSchema)


class DeviceKeySchema(Schema):
    """A key as a person knows it again; its secret is nowhere."""

    id = fields.String(required=True, metadata=_KEY_ID)
    prefix = fields.String(
        required=True, metadata={"description": "What it begins with.", "example": "dhd_65f0a1b2c3d4e5f6a7b8c9d4"}
    )
    created_at = Timestamp(required=True)
    last_used_at = Timestamp(
        required=True, allow_none=True, metadata={"description": "To about a minute; null before its first use."}
    )
    created_by = fields.String(required=True, metadata=_CREATOR)


class NewDeviceKeySchema(DeviceKeySchema):
    key = fields.String(required=True, metadata=_KEY | {"description": "All of it, told this once."})


DeviceKeyListSchema = envelope(DeviceKeySchema)


class DeviceQuerySchema(PageQuerySchema):
    type = Text(50)
    status = fields.String(validate=validate.OneOf(STATUSES))
    presence = fields.String(validate=validate.OneOf(PRESENCES))
    tag = fields.List(Text(50), validate=validate.Length(max=20), metadata={"description": "All of them."})
    owner_id = fields.String(validate=validate.Length(max=64))
    search = Text(100, metadata={"description": "Part of the name or the serial number, taken literally."})
    sort = fields.String(
        load_default="-createdAt",
        validate=validate.OneOf([sign + name for name in SORTS for sign in ("", "-")]),
        metadata={"description": "`-` descends."},
    )


class HeartbeatSchema(Schema):
    """What a device tells of itself; all of it optional, an empty object is a sign of life."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    metrics = JsonObject(
        largest=LARGEST_METRICS,
        validate=_refuse_odd_metrics,
        metadata=_METRICS
        | {
            "maxProperties": MOST_METRICS,
            "schema": {
                "propertyNames": NAME | {"minLength": 1, "maxLength": LONGEST_METRIC},
                "additionalProperties": NUMBER,
            },
        },
    )
    firmware_version = Text(100, shortest=1, metadata={"example": "1.4.2"})
    sent_at = Timestamp(metadata={"description": "By the device's own clock; kept as how far that is from ours."})
    goodbye = Flag(metadata={"description": "It goes, and is offline from now on.", "example": False})
    reason = Text(100, metadata={"description": "Why it goes; kept with a goodbye.", "example": "maintenance"})


class HeartbeatResultSchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    presence = fields.String(required=True, validate=validate.OneOf(PRESENCES))
    last_active_at = Timestamp(required=True)
    server_time = Timestamp(required=True)
    next_heartbeat_in = fields.Integer(required=True, metadata=_INTERVAL)


class HeartbeatsSchema(Schema):
    """What a gateway tells of the devices behind it; each is judged by itself, in this order."""

    heartbeats = fields.List(
        Unjudged(lambda: DeviceHeartbeatSchema()),
        required=True,
        validate=validate.Length(1, LARGEST_BATCH),
        metadata={"example": [{"deviceId": _ID["example"], "metrics": {"temperature": 21.5}}]},
    )


class DeviceHeartbeatSchema(HeartbeatSchema):
    device_id = Text(100, required=True, metadata=_ID)


class HeartbeatItemSchema(Schema):
    index = fields.Integer(required=True, metadata={"example": 0})
    status = fields.Integer(
        required=True, metadata={"description": "200, or what the error says.", "example": 200}
    )
    heartbeat = fields.Nested(HeartbeatResultSchema)
    error = fields.Nested(ProblemSchema)


class HeartbeatsResultSchema(Schema):
    accepted = fields.Integer(required=True, metadata={"example": 1})
    rejected = fields.Integer(required=True, metadata={"example": 0})
    items = fields.List(fields.Nested(HeartbeatItemSchema), required=True)


class LastSignalSchema(Schema):
    at = Timestamp(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(SIGNALS))
    by = fields.String(required=True, metadata={"description": "Whose token or key it came with."} | _OWNER)
    key_id = fields.String(metadata={"description": "Of one that came with a key: which."} | _KEY_ID)
    reason = fields.String(metadata={"description": "Of a goodbye that gave one.", "example": "maintenance"})


class NextTransitionSchema(Schema):
    to = fields.String(
        required=True,
        validate=validate.OneOf(("late", "offline", "inactive")),
        metadata={"description": "`inactive` is its status; the others are its presence."},
    )
    at = Timestamp(required=True)


class PresenceSchema(Schema):
    """Why a device's presence is what it is, and what becomes of it if nothing is heard of it."""

    device_id = fields.String(required=True, metadata=_ID)
    presence = fields.String(required=True, validate=validate.OneOf(PRESENCES))
    since = Timestamp(required=True)
    last_signal = fields.Nested(LastSignalSchema, required=True, allow_none=True)
    heartbeat_interval = fields.Integer(required=True, metadata=_INTERVAL)
    interval_set_by = fields.String(required=True, validate=validate.OneOf(("person", "default")))
    late_at = Timestamp(
        required=True, allow_none=True, metadata={"description": "After 1.5 intervals of silence."}
    )
    offline_at = Timestamp(required=True, allow_none=True, metadata={"description": "15 s later."})
    next_transition = fields.Nested(NextTransitionSchema, required=True, allow_none=True)
    clock_offset_ms = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "How far the device's clock is ahead of ours.", "example": -120},
    )
    server_time = Timestamp(required=True)


class CauseSchema(Schema):
    kind = fields.String(required=True, validate=validate.OneOf(CAUSES))
    by = fields.String(metadata={"description": "Of a signal: whose token or key it came with."} | _OWNER)
    key_id = fields.String(metadata={"description": "Of a signal that came with a key: which."} | _KEY_ID)
    reason = fields.String(metadata={"description": "Of a goodbye that gave one.", "example": "maintenance"})


class PresenceChangeSchema(Schema):
    seq = fields.Integer(required=True, metadata={"description": "Of all changes of its state.", "example": 4})
    at = Timestamp(required=True)
    before = fields.String(required=True, data_key="from", attribute="from", validate=validate.OneOf(PRESENCES))
    to = fields.String(required=True, validate=validate.OneOf(PRESENCES))
    cause = fields.Nested(CauseSchema, required=True)


PresenceChangeListSchema = cursor_envelope(PresenceChangeSchema)


class AvailabilityQuerySchema(Schema):
    range = Span(load_default=timedelta(days=7), metadata={"default": "7d"})


class SecondsSchema(Schema):
    never_seen = fields.Float(required=True, metadata={"example": 0})
    online = fields.Float(required=True, metadata={"example": 603_000.5})
    late = fields.Float(required=True, metadata={"example": 60})
    offline = fields.Float(required=True, metadata={"example": 1739.5})


class AvailabilitySchema(Schema):
    """For how long a device was what. It is available while it is online, of the time since it was first heard."""

    device_id = fields.String(required=True, metadata=_ID)
    start = Timestamp(required=True, data_key="from")
    end = Timestamp(required=True, data_key="to")
    availability = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "Per cent; null while nothing was heard of it.", "example": 99.7},
    )
    seconds = fields.Nested(SecondsSchema, required=True)
    changes = fields.Integer(required=True, metadata={"example": 6})
