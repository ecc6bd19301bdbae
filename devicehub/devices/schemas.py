"""What of a device goes in and out."""

import math
from typing import Any

import orjson
from marshmallow import ValidationError, fields, validate

from devicehub.devices.models import PRESENCES, STATUSES
from devicehub.web.schemas import PageQuerySchema, Schema, Text, Timestamp, envelope

LARGEST_METADATA = 16 << 10
MOST_METRICS = 50
LARGEST_BATCH = 500
SORTS = ("name", "createdAt", "lastActiveAt")

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}


def _refuse_reserved(value: dict[str, Any]) -> None:
    """MongoDB reads names that begin with `$` as operators, and cannot keep a NUL in a name."""
    level: list[Any] = [value]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            if any(name.startswith("$") or "\0" in name for name in item):
                raise ValidationError("Names must not begin with $ or hold a NUL.")
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)


def _refuse_large(value: dict[str, Any]) -> None:
    if len(orjson.dumps(value)) > LARGEST_METADATA:
        raise ValidationError(f"Larger than {LARGEST_METADATA} bytes of JSON.")


def _refuse_odd_metrics(value: dict[str, Any]) -> None:
    if len(value) > MOST_METRICS:
        raise ValidationError(f"More than {MOST_METRICS} metrics.")
    for name, number in value.items():
        is_number = isinstance(number, int | float) and not isinstance(number, bool)
        if not is_number or not math.isfinite(number) or not 0 < len(name) <= 100:
            raise ValidationError("Metrics are finite numbers under names of 1 to 100 characters.")


class DeviceSchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    organization_id = fields.String(required=True)
    owner_id = fields.String(required=True)
    name = fields.String(required=True, metadata={"example": "Boiler room sensor"})
    type = fields.String(required=True, metadata={"example": "temperature"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    presence = fields.String(
        required=True,
        validate=validate.OneOf(PRESENCES),
        metadata={"description": "The server's own finding; nobody sets it."},
    )
    last_active_at = Timestamp(required=True, allow_none=True)
    heartbeat_interval = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 60})
    serial_number = fields.String(required=True, allow_none=True, metadata={"example": "SN-0001"})
    location = fields.String(required=True, allow_none=True, metadata={"example": "Basement"})
    tags = fields.List(fields.String(), required=True, metadata={"example": ["heating"]})
    metadata = fields.Dict(required=True)
    firmware_version = fields.String(required=True, allow_none=True, metadata={"example": "1.4.2"})
    metrics = fields.Dict(keys=fields.String(), values=fields.Float(), required=True)
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class DevicePatchSchema(Schema):
    name = Text(100, shortest=2, metadata={"example": "Boiler room sensor"})
    type = Text(50, shortest=2, metadata={"example": "temperature"})
    status = fields.String(validate=validate.OneOf(STATUSES))
    serial_number = Text(100, shortest=1, allow_none=True, metadata={"example": "SN-0001"})
    location = Text(200, allow_none=True, metadata={"example": "Basement"})
    tags = fields.List(Text(50, shortest=1), validate=validate.Length(max=20), metadata={"example": ["heating"]})
    metadata = fields.Dict(
        keys=fields.String(),
        validate=[_refuse_reserved, _refuse_large],
        metadata={"description": "Any object of at most 16 KB; kept as it is."},
    )
    heartbeat_interval = fields.Integer(
        strict=True, validate=validate.Range(5, 86_400), metadata={"description": "Seconds."}
    )


class NewDeviceSchema(DevicePatchSchema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Boiler room sensor"})
    type = Text(50, shortest=2, required=True, metadata={"example": "temperature"})
    status = fields.String(load_default="active", validate=validate.OneOf(STATUSES))
    heartbeat_interval = fields.Integer(
        strict=True, load_default=60, validate=validate.Range(5, 86_400), metadata={"description": "Seconds."}
    )


class NewDevicesSchema(Schema):
    """Each device is judged by itself, so one that is wrong does not keep the others out."""

    devices = fields.List(
        fields.Raw(),
        required=True,
        validate=validate.Length(1, LARGEST_BATCH),
        metadata={
            "items": {"$ref": "#/components/schemas/NewDevice"},
            "example": [{"name": "Boiler room sensor", "type": "temperature"}],
        },
    )


class BatchItemSchema(Schema):
    index = fields.Integer(required=True)
    status = fields.Integer(required=True, metadata={"description": "201, or what the error says."})
    device = fields.Nested(DeviceSchema)
    error = fields.Dict(metadata={"description": "A problem object."})


class BatchResultSchema(Schema):
    created = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    items = fields.List(fields.Nested(BatchItemSchema), required=True)


DeviceListSchema = envelope(DeviceSchema)


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
    metrics = fields.Dict(
        keys=fields.String(),
        validate=[_refuse_odd_metrics, _refuse_reserved],
        metadata={"example": {"temperature": 21.5, "battery": 87}},
    )
    firmware_version = Text(100, shortest=1, metadata={"example": "1.4.2"})
    sent_at = Timestamp()


class HeartbeatResultSchema(Schema):
    device_id = fields.String(required=True, metadata=_ID)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    presence = fields.String(required=True, validate=validate.OneOf(PRESENCES))
    last_active_at = Timestamp(required=True)
    server_time = Timestamp(required=True)
    next_heartbeat_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 60})
