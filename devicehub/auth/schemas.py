"""What goes in and out at the front door."""

from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from devicehub.auth.fields import NewPassword
from devicehub.core import clock
from devicehub.core.actor import SCOPES
from devicehub.organizations.schemas import OrganizationSchema
from devicehub.users.schemas import UserSchema
from devicehub.web.fields import Flag, Text, Timestamp
from devicehub.web.schemas import Schema, envelope

_ADDRESS = {"example": "ada@example.com"}
_PASSWORD = {"format": "password", "example": "correct horse battery"}
_REFRESH_TOKEN = {"example": "dhr1.65f0....0.b1f..."}
_RESET_TOKEN = {"example": "dhp1.65f0....0.1790000000.9d3..."}
_CHALLENGE = {"pattern": "^[A-Za-z0-9_-]{22}$", "example": "nJ2cTq0bQyKc1mYwqz3b7A"}
_OTP = {"pattern": "^[0-9]{6}$", "example": "042137"}
_DEVICE_TOKEN = {"example": "dhl1.65f0....0.3f0c....1790000000.c2a..."}


def _email() -> fields.Email:
    return fields.Email(required=True, validate=validate.Length(max=254), metadata=_ADDRESS)


def _password() -> fields.String:
    return fields.String(required=True, validate=validate.Length(max=200), metadata=_PASSWORD)


class SignUpSchema(Schema):
    name = Text(100, shortest=2, required=True, metadata={"example": "Ada Lovelace"})
    email = _email()
    password = NewPassword(example="correct horse battery")
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
    password = _password()
    device_token = fields.String(
        validate=validate.Length(max=512),
        metadata={"description": "What signing in on this device answered before."} | _DEVICE_TOKEN,
    )


class RefreshSchema(Schema):
    refresh_token = fields.String(
        validate=validate.Length(max=512),
        metadata={"description": "A browser's cookie serves as well."} | _REFRESH_TOKEN,
    )


class LogOutSchema(Schema):
    refresh_token = fields.String(validate=validate.Length(max=512), metadata=_REFRESH_TOKEN)


class RevokeSchema(Schema):
    token = fields.String(
        required=True,
        validate=validate.Length(max=4096),
        metadata={"description": "An access or a refresh token of one's own."} | _REFRESH_TOKEN,
    )


class SwitchSchema(Schema):
    organization_id = fields.String(
        required=True,
        validate=validate.Length(max=64),
        metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d1"},
    )


class TokensSchema(Schema):
    access_token = fields.String(required=True, metadata={"example": "eyJhbGciOiJIUzI1NiJ9.e30...."})
    refresh_token = fields.String(
        metadata={"description": "Not with `X-Token-Transport: cookie`."} | _REFRESH_TOKEN
    )
    token_type = fields.String(required=True, validate=validate.Equal("Bearer"))
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 900})
    refresh_expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 604800})
    user = fields.Nested(UserSchema, required=True)
    organization = fields.Nested(OrganizationSchema, required=True)


class SignedInSchema(TokensSchema):
    device_token = fields.String(
        required=True,
        metadata={
            "description": "Keep it on this device, for 90 days, and send it with the next sign-in: then failures "
            "of others do not lock it out, and nobody is mailed of a new place."
        }
        | _DEVICE_TOKEN,
    )


class SessionSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d3"})
    ip = fields.String(required=True, allow_none=True, metadata={"example": "192.0.2.7"})
    user_agent = fields.String(required=True, allow_none=True, metadata={"example": "Mozilla/5.0 (X11; Linux)"})
    created_at = Timestamp(required=True)
    last_used_at = Timestamp(required=True, metadata={"description": "True to about a minute."})
    current = fields.Boolean(
        required=True, metadata={"description": "Whether it is the one that asks.", "example": True}
    )


SessionListSchema = envelope(SessionSchema)


class RevokedSchema(Schema):
    revoked_sessions = fields.Integer(required=True, metadata={"example": 3})


class PasswordChangeSchema(Schema):
    current_password = _password()
    new_password = NewPassword(example="staple battery horse")


class ForgottenSchema(Schema):
    email = _email()


class ChallengeSchema(Schema):
    challenge_id = fields.String(required=True, metadata=_CHALLENGE)
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds.", "example": 600})


class OtpSchema(Schema):
    challenge_id = fields.String(
        required=True, validate=validate.Regexp(r"[A-Za-z0-9_-]{22}\Z"), metadata=_CHALLENGE
    )
    otp = fields.String(required=True, validate=validate.Regexp(r"[0-9]{6}\Z"), metadata=_OTP)


class ResetTokenSchema(Schema):
    reset_token = fields.String(required=True, metadata=_RESET_TOKEN)


class PasswordResetSchema(Schema):
    reset_token = fields.String(required=True, validate=validate.Length(max=512), metadata=_RESET_TOKEN)
    new_password = NewPassword(example="staple battery horse")


class EmailChangeSchema(Schema):
    email = _email()
    current_password = _password()


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


_SCOPES = {"description": "What it may do, as far as its owner may.", "example": ["devices:read", "events:read"]}
_ENDS = {"description": "When it ends; null for never.", "example": "2099-01-31T12:00:00.000Z"}
_PREFIX = {"description": "What it begins with.", "example": "dhk_65f0a1b2c3d4e5f6a7b8c9d5"}


def _scopes(**kwargs: Any) -> fields.List[Any]:
    one = fields.String(validate=validate.OneOf(SCOPES))
    return fields.List(one, validate=validate.Length(1, len(SCOPES)), metadata=_SCOPES, **kwargs)


def _to_come(moment: datetime) -> None:
    if moment <= clock.now():
        raise ValidationError("Lies in the past: the key would be none.")


class ApiKeyPatchSchema(Schema):
    name = Text(100, shortest=1, metadata={"example": "Warehouse display"})
    scopes = _scopes()
    active = Flag(metadata={"description": "Whether it is switched on.", "example": True})
    expires_at = Timestamp(allow_none=True, metadata=_ENDS)


class NewApiKeySchema(Schema):
    name = Text(100, shortest=1, required=True, metadata={"example": "Warehouse display"})
    scopes = _scopes(required=True)
    expires_at = Timestamp(allow_none=True, validate=_to_come, metadata=_ENDS)


class ApiKeySchema(Schema):
    """A key as a person knows it again; its secret is nowhere."""

    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d5"})
    prefix = fields.String(required=True, metadata=_PREFIX)
    name = fields.String(required=True, metadata={"example": "Warehouse display"})
    scopes = fields.List(fields.String(validate=validate.OneOf(SCOPES)), required=True, metadata=_SCOPES)
    active = fields.Boolean(required=True, metadata={"example": True})
    organization_id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d1"})
    created_at = Timestamp(required=True)
    expires_at = Timestamp(required=True, allow_none=True, metadata=_ENDS)
    last_used_at = Timestamp(
        required=True, allow_none=True, metadata={"description": "To about a minute; null before its first use."}
    )


class MadeApiKeySchema(ApiKeySchema):
    key = fields.String(
        required=True,
        metadata={"description": "All of it, told this once.", "example": "dhk_65f0a1b2c3d4e5f6a7b8c9d5_w8Yq..."},
    )


ApiKeyListSchema = envelope(ApiKeySchema)
