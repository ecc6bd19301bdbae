"""What of a job goes out, and how jobs are asked for; not their arguments, which may be private."""

from datetime import datetime
from typing import Any, ClassVar

from bson import ObjectId
from marshmallow import fields, validate

from devicehub.core import clock
from devicehub.jobs.models import STATUSES
from devicehub.web.fields import Text, Timestamp, Whole
from devicehub.web.schemas import CursorQuerySchema, Schema, cursor_envelope

MOST_RETRIED = 500
_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d2"}


def _plain(value: Any) -> Any:
    """What a job keeps as MongoDB has it, as JSON has it."""
    if isinstance(value, datetime):
        return clock.rfc3339(value)
    return str(value) if isinstance(value, ObjectId) else value


class JobSchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata={"example": "mail.send"})
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    dead = fields.Function(
        lambda job: bool(job.dead),
        required=True,
        metadata={"type": "boolean", "description": "It was given up: a dead letter.", "example": False},
    )
    attempts = fields.Integer(required=True, metadata={"example": 1})
    organization_id = fields.String(required=True, allow_none=True, metadata=_ID)
    user_id = fields.String(required=True, allow_none=True, metadata=_ID)
    request_id = fields.String(required=True, allow_none=True, metadata={"example": "3f0c9a7be1d24c55"})
    key = fields.String(
        required=True, allow_none=True, metadata={"description": "What makes it unique.", "example": None}
    )
    progress = fields.Dict(required=True, metadata={"example": {"step": "sending", "done": 1, "total": 2}})
    result = fields.Function(
        lambda job: {name: _plain(value) for name, value in job.result.items()},
        required=True,
        metadata={"type": "object", "example": {}},
    )
    error = fields.Function(
        lambda job: dict(job.error) or None,
        required=True,
        metadata={
            "type": ["object", "null"],
            "description": "Why its last attempt failed: `type` and `code`; more is in the log only.",
            "example": {"type": "OperationFailure", "code": "INTERNAL_ERROR"},
        },
    )
    created_at = Timestamp(required=True)
    run_at = Timestamp(required=True, metadata={"description": "Not before this."})
    started_at = Timestamp(required=True, allow_none=True)
    finished_at = Timestamp(required=True, allow_none=True)
    lease_until = Timestamp(
        required=True, allow_none=True, metadata={"description": "Its worker has to renew it before this."}
    )
    cancel_requested_at = Timestamp(required=True, allow_none=True)


JobCursorListSchema = cursor_envelope(JobSchema)


def _span() -> dict[str, Any]:
    return {
        "from": Timestamp(metadata={"description": "None asked for before it."}),
        "to": Timestamp(metadata={"description": "None asked for from it on."}),
    }


class JobQuerySchema(CursorQuerySchema):
    class Meta(CursorQuerySchema.Meta):
        include: ClassVar = _span()

    status = fields.String(validate=validate.OneOf(STATUSES))
    name = Text(100, metadata={"description": "Such as `mail.send`."})
    dead = fields.Boolean(metadata={"description": "Only dead letters, or none of them."})
    organization_id = fields.String(validate=validate.Length(max=64))


class DeadJobsSchema(Schema):
    class Meta(Schema.Meta):
        include: ClassVar = _span()

    name = Text(100, metadata={"description": "Only jobs of this name.", "example": "mail.send"})
    organization_id = fields.String(validate=validate.Length(max=64), metadata=_ID)
    limit = Whole(1, MOST_RETRIED, load_default=100, metadata={"description": "The oldest ones.", "example": 100})


class RetriedSchema(Schema):
    retried = fields.Integer(required=True, metadata={"example": 3})
    has_more = fields.Boolean(
        required=True, metadata={"description": "Whether more match than `limit`.", "example": False}
    )
