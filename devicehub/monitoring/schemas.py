"""What the monitoring endpoints answer."""

from marshmallow import fields, validate

from devicehub.web.fields import Timestamp
from devicehub.web.schemas import Schema


class DependenciesSchema(Schema):
    mongodb = fields.String(required=True, validate=validate.OneOf(("connected", "disconnected")))
    redis = fields.String(required=True, validate=validate.OneOf(("connected", "disconnected")))
    queue = fields.String(required=True, validate=validate.OneOf(("active", "inactive")))


class HealthSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("healthy", "degraded", "unhealthy")))
    dependencies = fields.Nested(DependenciesSchema, required=True)
    uptime = fields.Float(required=True, metadata={"description": "Seconds.", "example": 86400.5})
    timestamp = Timestamp(required=True)
    version = fields.String(required=True, metadata={"example": "0.1.0"})


class ProbeSchema(Schema):
    status = fields.String(required=True, validate=validate.OneOf(("ok", "unavailable")))
