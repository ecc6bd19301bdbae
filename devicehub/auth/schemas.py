"""What goes in and out at the front door."""

from marshmallow import fields, validate

from devicehub.organizations.schemas import OrganizationSchema
from devicehub.users.schemas import UserSchema
from devicehub.web.fields import Text
from devicehub.web.schemas import Schema

_ADDRESS = {"example": "ada@example.com"}
_PASSWORD = {"format": "password", "example": "correct horse battery"}
_REFRESH_TOKEN = {"example": "dhr1.65f0....0.b1f..."}


def _email() -> fields.Email:
    return fields.Email(required=True, validate=validate.Length(max=254), metadata=_ADDRESS)


class SignUpSchema(Schema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Ada Lovelace"})
    email = _email()
    password = fields.String(
        required=True,
        validate=validate.Length(max=200),
        metadata=_PASSWORD
        | {
            "description": "At least 8 characters and at most 72 bytes (NFKC); no common password.",
            "minLength": 8,
            "maxLength": 72,
        },
    )
    organization_name = Text(100, shortest=2, metadata={"example": "Analytical Engines"})
    invitation_token = fields.String(
        validate=validate.Length(max=512),
        metadata={
            "description": "Joins the organization that invites this address, instead of making one.",
            "example": "dhi_kJ0VbZ1nqk4u...",
        },
    )
    role = fields.String(
        metadata={"description": "Accepted as `user` and ignored; anything else is 403.", "enum": ["user"]}
    )


class SignedUpSchema(Schema):
    user = fields.Nested(UserSchema, required=True)
    organization = fields.Nested(OrganizationSchema, required=True)


class LogInSchema(Schema):
    email = _email()
    password = fields.String(required=True, validate=validate.Length(max=200), metadata=_PASSWORD)


class RefreshSchema(Schema):
    refresh_token = fields.String(required=True, validate=validate.Length(max=512), metadata=_REFRESH_TOKEN)


class LogOutSchema(Schema):
    refresh_token = fields.String(validate=validate.Length(max=512), metadata=_REFRESH_TOKEN)


class RevokeSchema(Schema):
    token = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={"description": "An access or a refresh token of one's own."} | _REFRESH_TOKEN,
    )


class TokensSchema(Schema):
    access_token = fields.String(required=True, metadata={"example": "eyJhbGciOiJIUzI1NiJ9.e30...."})
    refresh_token = fields.String(required=True, metadata=_REFRESH_TOKEN)
    token_type = fields.String(required=True, validate=validate.Equal("Bearer"))
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 900})
    refresh_expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 604800})
    user = fields.Nested(UserSchema, required=True)
    organization = fields.Nested(OrganizationSchema, required=True)


class RevokedSchema(Schema):
    revoked_sessions = fields.Integer(required=True, metadata={"example": 3})


class EmailChangeSchema(Schema):
    email = _email()
    current_password = fields.String(required=True, validate=validate.Length(max=200), metadata=_PASSWORD)


class EmailChangeAskedSchema(Schema):
    expires_in = fields.Integer(
        required=True, metadata={"description": "For how many seconds the mailed link is good.", "example": 86400}
    )


class EmailTokenSchema(Schema):
    token = fields.String(
        required=True,
        validate=validate.Length(max=200),
        metadata={"description": "From the mailed link, after its #.", "example": "dhe_65f0..._3Xl..."},
    )


class EmailChangedSchema(Schema):
    email = fields.String(required=True, metadata={"description": "One's address from now on."} | _ADDRESS)
