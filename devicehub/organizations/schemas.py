"""What of an organization goes in and out."""

from marshmallow import fields, validate

from devicehub.core.actor import ROLES
from devicehub.web.fields import Timestamp
from devicehub.web.schemas import Schema


class OrganizationSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d1"})
    name = fields.String(required=True, metadata={"example": "Ada's devices"})
    role = fields.String(
        required=True, validate=validate.OneOf(ROLES), metadata={"description": "The caller's role in it."}
    )
    created_at = Timestamp(required=True)
