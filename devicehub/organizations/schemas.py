"""What of organizations, their members and invitations goes in and out."""

from marshmallow import fields, validate

from devicehub.core.actor import ROLES
from devicehub.organizations.models import PERMISSIONS
from devicehub.web.fields import Text, Timestamp, Timezone, Whole
from devicehub.web.schemas import Schema, envelope

_ID = {"example": "65f0a1b2c3d4e5f6a7b8c9d1"}
_USER = {"example": "65f0a1b2c3d4e5f6a7b8c9d0"}
_NAME = {"example": "Ada's devices"}
_ADDRESS = {"example": "grace@example.com"}
_TOKEN = {"example": "dhi_kJ0VbZ1nqk4u..."}


def _role(**kwargs: str) -> fields.String:
    metadata = {"example": "operator"} | kwargs
    return fields.String(required=True, validate=validate.OneOf(ROLES), metadata=metadata)


_RETENTION = {"description": "For how many days logs are kept.", "example": 90}


class OrganizationSchema(Schema):
    id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_NAME)
    personal = fields.Boolean(
        required=True, metadata={"description": "Whether it came with its owner's account.", "example": True}
    )
    timezone = fields.String(required=True, metadata={"example": "UTC"})
    log_retention_days = fields.Integer(required=True, metadata=_RETENTION)
    role = _role(description="The caller's role in it.")
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


OrganizationListSchema = envelope(OrganizationSchema)


class OrganizationPatchSchema(Schema):
    name = Text(100, shortest=2, metadata={"example": "Analytical Engines"})
    timezone = Timezone(metadata={"description": "What days and hours are counted in."})
    log_retention_days = Whole(1, 400, metadata=_RETENTION)


class NewOrganizationSchema(OrganizationPatchSchema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Analytical Engines"})
    timezone = Timezone(load_default="UTC", metadata={"description": "What days and hours are counted in."})
    log_retention_days = Whole(1, 400, load_default=90, metadata=_RETENTION)


class PermissionsSchema(Schema):
    role = _role(description="The caller's role in it.")
    permissions = fields.Nested(
        Schema.from_dict(
            {name: fields.Boolean(required=True, metadata={"example": True}) for name in PERMISSIONS},
            name="PermissionTable",
        ),
        required=True,
    )


class DeletionSchema(Schema):
    receipt_id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d4"})
    organization_id = fields.String(required=True, metadata=_ID)
    name = fields.String(required=True, metadata=_NAME)
    status = fields.String(required=True, validate=validate.OneOf(("pending", "completed")))
    counts = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "How many of each have been deleted.", "example": {"devices": 120}},
    )
    created_at = Timestamp(required=True)
    completed_at = Timestamp(required=True, allow_none=True)


class MemberSchema(Schema):
    user_id = fields.String(required=True, metadata=_USER)
    name = fields.String(required=True, metadata={"example": "Grace Hopper"})
    email = fields.String(required=True, metadata=_ADDRESS)
    role = _role()
    joined_at = Timestamp(required=True)


MemberListSchema = envelope(MemberSchema)


class MemberPatchSchema(Schema):
    role = _role()


class InvitationSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d3"})
    email = fields.String(required=True, metadata=_ADDRESS)
    role = _role()
    invited_by = fields.String(required=True, metadata=_USER)
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True)


InvitationListSchema = envelope(InvitationSchema)


class NewInvitationSchema(Schema):
    email = fields.Email(required=True, validate=validate.Length(max=254), metadata=_ADDRESS)
    role = _role(description="At most the caller's own.")


class InvitationTokenSchema(Schema):
    token = fields.String(
        required=True,
        validate=validate.Length(max=512),
        metadata=_TOKEN | {"description": "What was mailed with the invitation."},
    )
