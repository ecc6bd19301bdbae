"""What the SSE door takes and answers."""

from marshmallow import fields

from devicehub.web.schemas import Schema


class EventsQuerySchema(Schema):
    """What clients say here that cannot send headers."""

    token = fields.String(metadata={"description": "An access token."})
    ticket = fields.String(metadata={"description": "One of POST /api/sse/ticket."})
    last_event_id = fields.String(
        load_default="", metadata={"description": "As the header, which goes before it."}
    )


class TicketSchema(Schema):
    ticket = fields.String(required=True, metadata={"example": "q5pAxAYGpkv4YbPWU8U..."})
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 60})


class ListenersSchema(Schema):
    """How many connections there are."""

    sockets = fields.Integer(required=True, metadata={"example": 12})
    streams = fields.Integer(required=True, metadata={"example": 3})


class OrganizationListenersSchema(ListenersSchema):
    organization_id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d1"})


class StatsSchema(ListenersSchema):
    """Of one organization; for platform admins of all of them, and of each."""

    processes = fields.Integer(metadata={"example": 2})
    organizations = fields.List(fields.Nested(OrganizationListenersSchema))
