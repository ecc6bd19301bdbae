"""What of notifications goes in and out."""

import re
from typing import Any

from marshmallow import ValidationError, fields, validate

from devicehub.notifications.models import KINDS
from devicehub.web.fields import Timestamp, Whole
from devicehub.web.schemas import CursorQuerySchema, Schema, cursor_envelope

LONGEST_GRACE_S = 86_400
_QUIET = {
    "description": "When nobody is told, in the organization's time zone; from and to the same is never.",
    "example": {"from": "22:00", "to": "07:00"},
}
_GRACE = {"description": "How long a device may be offline before anybody is told.", "example": 300}


class NotificationSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d6"})
    type = fields.String(required=True, validate=validate.OneOf(KINDS))
    title = fields.String(required=True, metadata={"example": "Boiler room sensor is offline"})
    message = fields.String(required=True, metadata={"example": "Nothing was heard of it since 12:00."})
    data = fields.Dict(
        required=True,
        metadata={
            "description": "What it is about, by its type.",
            "example": {"deviceId": "65f0a1b2c3d4e5f6a7b8c9d2"},
        },
    )
    read_at = Timestamp(required=True, allow_none=True)
    created_at = Timestamp(required=True)
    organization_id = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null for what concerns the account.", "example": "65f0a1b2c3d4e5f6a7b8c9d1"},
    )


NotificationCursorListSchema = cursor_envelope(NotificationSchema)


class NotificationQuerySchema(CursorQuerySchema):
    unread = fields.Boolean(load_default=False, metadata={"description": "Only those that were not read."})


class UnreadCountSchema(Schema):
    count = fields.Integer(required=True, metadata={"example": 3})


class ReadAllSchema(Schema):
    read = fields.Integer(required=True, metadata={"description": "How many were not read yet.", "example": 3})


class TimeOfDay(fields.String):
    """`07:00`, from `00:00` to `23:59`."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs) or ""
        if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
            raise ValidationError("Write hours and minutes, such as 07:00.")
        return text


class QuietHoursSchema(Schema):
    start = TimeOfDay(required=True, data_key="from", metadata={"example": "22:00"})
    end = TimeOfDay(required=True, data_key="to", metadata={"example": "07:00"})


class OfflineRuleSchema(Schema):
    grace_seconds = fields.Integer(required=True, metadata=_GRACE)
    quiet_hours = fields.Nested(QuietHoursSchema, required=True, allow_none=True, metadata=_QUIET)
    timezone = fields.String(required=True, metadata={"example": "Europe/Berlin"})


class OfflineRulePatchSchema(Schema):
    grace_seconds = Whole(0, LONGEST_GRACE_S, metadata=_GRACE)
    quiet_hours = fields.Nested(QuietHoursSchema, allow_none=True, metadata=_QUIET)


class DeviceOfflineRuleSchema(Schema):
    """What a device has of its own, or null for what is as in its organization; and what holds for it by both."""

    device_id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d2"})
    grace_seconds = fields.Integer(required=True, allow_none=True, metadata=_GRACE)
    quiet_hours = fields.Nested(QuietHoursSchema, required=True, allow_none=True, metadata=_QUIET)
    applied = fields.Nested(OfflineRuleSchema, required=True)


class DeviceOfflineRulePatchSchema(Schema):
    grace_seconds = Whole(0, LONGEST_GRACE_S, allow_none=True, metadata=_GRACE)
    quiet_hours = fields.Nested(QuietHoursSchema, allow_none=True, metadata=_QUIET)
