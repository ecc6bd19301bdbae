"""What of the audit trail goes out, and how it is asked for."""

from typing import ClassVar

from marshmallow import fields, validate

from devicehub.audit.models import OUTCOMES
from devicehub.web.fields import Text, Timestamp
from devicehub.web.schemas import CursorQuerySchema, Schema, cursor_envelope

_HASH = {"example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}


class AuditEntrySchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d3"})
    sequence = fields.Integer(required=True, metadata={"description": "Its place in the chain.", "example": 42})
    at = Timestamp(required=True)
    action = fields.String(required=True, metadata={"example": "device.deleted"})
    target = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The id of what was acted on.", "example": "65f0a1b2c3d4e5f6a7b8c9d2"},
    )
    outcome = fields.String(
        required=True,
        validate=validate.OneOf(OUTCOMES),
        metadata={
            "description": "What is privileged is `intended` first, then `done` or `failed` in another entry."
        },
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why it failed.", "example": "DEVICE_NOT_FOUND"}
    )
    intent = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "The `sequence` of what it completes.", "example": 41},
    )
    changes = fields.Dict(
        required=True, metadata={"description": "Without secrets.", "example": {"name": "Boiler room sensor"}}
    )
    actor_id = fields.String(required=True, allow_none=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d0"})
    actor_kind = fields.String(required=True, metadata={"example": "user"})
    ip = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.7"})
    request_id = fields.String(required=True, allow_none=True, metadata={"example": "3f0c9a7be1d24c55"})
    previous = fields.String(
        required=True, metadata={"description": "The hash of the entry before; zeros for the first."} | _HASH
    )
    hash = fields.String(required=True, metadata={"description": "SHA-256 over all of the entry."} | _HASH)


AuditEntryCursorListSchema = cursor_envelope(AuditEntrySchema)


class AuditQuerySchema(CursorQuerySchema):
    class Meta(CursorQuerySchema.Meta):
        include: ClassVar = {
            "from": Timestamp(metadata={"description": "Nothing before it."}),
            "to": Timestamp(metadata={"description": "Nothing from it on."}),
        }

    actor = fields.String(validate=validate.Length(max=64), metadata={"description": "The id of who did it."})
    action = Text(100, metadata={"description": "Such as `device.deleted`."})
