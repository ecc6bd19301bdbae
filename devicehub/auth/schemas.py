"""What goes in and out at the front door."""

from marshmallow import fields, validate

from devicehub.organizations.schemas import OrganizationSchema
from devicehub.users.schemas import UserSchema
from devicehub.web.schemas import Schema, Text

_ADDRESS = {"example": "ada@example.com"}
_PASSWORD = {"format": "password", "example": "correct horse battery"}


def _email() -> fields.Email:
    return fields.Email(required=True, validate=validate.Length(max=254), metadata=_ADDRESS)


class SignUpSchema(Schema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Ada Lovelace"})
    email = _email()
    password = fields.String(
        required=True,
        validate=validate.Length(max=200),
        metadata=_PASSWORD | {"description": "At least 8 characters and at most 72 bytes; no common password."},
    )
    organization_name = Text(100, shortest=2, metadata={"example": "Analytical Engines"})
    role = fields.String(metadata={"description": "Accepted as `user` and ignored; anything else is 403."})


class SignedUpSchema(Schema):
    user = fields.Nested(UserSchema, required=True)
    organization = fields.Nested(OrganizationSchema, required=True)


class LogInSchema(Schema):
    email = _email()
    password = fields.String(required=True, validate=validate.Length(max=200), metadata=_PASSWORD)


class RefreshSchema(Schema):
    refresh_token = fields.String(
        required=True, validate=validate.Length(max=512), metadata={"example": "dhr1.65f0....0.b1f..."}
    )


class LogOutSchema(Schema):
    refresh_token = fields.String(validate=validate.Length(max=512))


class RevokeSchema(Schema):
    token = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={"description": "An access or a refresh token of one's own.", "example": "dhr1.65f0....0.b1f..."},
    )


class TokensSchema(Schema):
    access_token = fields.String(required=True)
    refresh_token = fields.String(required=True)
    token_type = fields.String(required=True, validate=validate.Equal("Bearer"))
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 900})
    refresh_expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 604800})
    user = fields.Nested(UserSchema, required=True)
    organization = fields.Nested(OrganizationSchema, required=True)


class RevokedSchema(Schema):
    revoked_sessions = fields.Integer(required=True, metadata={"example": 3})
