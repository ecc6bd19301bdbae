"""What the monitoring endpoints answer."""

from marshmallow import fields, validate

from devicehub.web.schemas import Schema, Timestamp


class DependenciesSchema(Schema):
    mongodb = fields.String(required=True, validate=validate.OneOf(("connected", "disconnected")))
    redis = fields.String(required=True, validate=validate.OneOf(("connected", "disconnected")))
    queue = fields.String(required=True, validate=validate.OneOf(("active", "inactive")))


class HealthSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("healthy", "degraded", "unhealthy")))
    dependencies = fields.Nested(DependenciesSchema, required=True)
    uptime = fields.Float(required=True, metadata={"description": "Seconds."})
    timestamp = Timestamp(required=True)
    version = fields.String(required=True)


class ProbeSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("ok", "unavailable")))
