"""What of webhooks and their deliveries goes in and out."""

from typing import Any, ClassVar

import orjson
from marshmallow import fields, validate

from devicehub.web.fields import Flag, Text, Timestamp, Whole
from devicehub.web.schemas import CursorQuerySchema, Schema, cursor_envelope, envelope
from devicehub.webhooks.fields import ReceiverUrl
from devicehub.webhooks.models import KINDS, PING, REASONS, STATUSES

MOST_REPLAYED = 500
_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d4"}
_EVENT_ID = {"description": "`webhook-id` of every attempt.", "example": "evt_3f0c9a7be1d24c55a1b2c3d4e5f60718"}
_SECRET = {"description": "What deliveries are signed with; told this once.", "example": "whsec_C2FV..."}


def _events(**kwargs: Any) -> fields.List[Any]:
    metadata = {"description": "What it is told of.", "example": ["device.offline", "device.online"]}
    one = fields.String(validate=validate.OneOf(KINDS))
    return fields.List(one, validate=validate.Length(1, len(KINDS)), metadata=metadata, **kwargs)


def _description(**kwargs: Any) -> Text:
    return Text(200, metadata={"example": "The night shift's pager"}, **kwargs)


class WebhookSchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    url = fields.String(required=True, metadata={"example": "https://hooks.example.com/devicehub"})
    events = _events(required=True)
    description = fields.String(required=True, metadata={"example": "The night shift's pager"})
    enabled = fields.Boolean(required=True, metadata={"example": True})
    disabled_reason = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([*REASONS, None]),
        metadata={"description": "Why we have disabled it: it failed for days, or answered 410.", "example": None},
    )
    created_at = Timestamp(required=True)
    last_delivery_at = Timestamp(
        required=True, allow_none=True, metadata={"description": "When it last took a delivery."}
    )
    failing_since = Timestamp(
        required=True, allow_none=True, metadata={"description": "Since when it has taken none that was tried."}
    )


WebhookListSchema = envelope(WebhookSchema)


class MadeWebhookSchema(WebhookSchema):
    secret = fields.String(required=True, metadata=_SECRET)


class NewWebhookSchema(Schema):
    url = ReceiverUrl(required=True)
    events = _events(required=True)
    description = _description(load_default="")


class WebhookPatchSchema(Schema):
    url = ReceiverUrl()
    events = _events()
    description = _description()
    enabled = Flag(metadata={"example": True})


class SecretSchema(Schema):
    secret = fields.String(required=True, metadata=_SECRET)
    former_until = Timestamp(required=True, metadata={"description": "Until then the former one signs, too."})


class AttemptSchema(Schema):
    at = Timestamp(required=True)
    status_code = fields.Integer(required=True, allow_none=True, metadata={"example": 503})
    duration_ms = fields.Integer(required=True, metadata={"example": 84})
    error = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "In a word why it was none.", "example": "bad_status"},
    )
    answer = fields.String(
        required=True, metadata={"description": "The first kilobyte of its body.", "example": "Try later."}
    )


class DeliverySchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    webhook_id = fields.String(required=True, metadata=_ID)
    event_id = fields.String(required=True, metadata=_EVENT_ID)
    event = fields.String(required=True, validate=validate.OneOf((*KINDS, PING)))
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    attempts = fields.List(
        fields.Nested(AttemptSchema), required=True, metadata={"description": "The newest, the last one last."}
    )
    next_attempt_at = Timestamp(attribute="due_at", required=True, allow_none=True)
    created_at = Timestamp(required=True)
    delivered_at = Timestamp(required=True, allow_none=True)


DeliveryCursorListSchema = cursor_envelope(DeliverySchema)


class WholeDeliverySchema(DeliverySchema):
    body = fields.Function(
        lambda delivery: orjson.loads(delivery.body),
        required=True,
        metadata={"type": "object", "description": "What is sent.", "example": {"type": "device.offline"}},
    )


class DeliveryQuerySchema(CursorQuerySchema):
    status = fields.String(validate=validate.OneOf(STATUSES))
    event = fields.String(validate=validate.OneOf((*KINDS, PING)))


class ReplaySchema(Schema):
    class Meta(Schema.Meta):
        include: ClassVar = {
            "from": Timestamp(metadata={"description": "None of events before it."}),
            "to": Timestamp(metadata={"description": "None of events from it on."}),
        }

    limit = Whole(1, MOST_REPLAYED, load_default=100, metadata={"description": "The oldest ones.", "example": 100})


class ReplayedSchema(Schema):
    replayed = fields.Integer(required=True, metadata={"example": 3})
    has_more = fields.Boolean(
        required=True, metadata={"description": "Whether more match than `limit`.", "example": False}
    )
