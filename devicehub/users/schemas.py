"""What of a user goes in and out."""

from marshmallow import fields, validate

from devicehub.mail.schemas import MailPreferencesPatchSchema, MailPreferencesSchema
from devicehub.users.models import ROLES
from devicehub.web.fields import Text, Timestamp
from devicehub.web.schemas import PageQuerySchema, Schema, envelope


class UserSchema(Schema):
    id = fields.String(required=True, metadata={"example": "65f0a1b2c3d4e5f6a7b8c9d0"})
    name = fields.String(required=True, metadata={"example": "Ada Lovelace"})
    email = fields.String(required=True, metadata={"example": "ada@example.com"})
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    created_at = Timestamp(required=True)
    updated_at = Timestamp(required=True)


class ProfileSchema(Schema):
    """All that may be set of oneself; an e-mail address changes by a mailed link."""

    name = Text(100, shortest=2, required=True, metadata={"example": "Ada Lovelace"})


class ProfilePatchSchema(Schema):
    name = Text(100, shortest=2, metadata={"example": "Ada Lovelace"})


class PreferencesSchema(Schema):
    mail = fields.Nested(
        MailPreferencesSchema,
        required=True,
        metadata={
            "description": "Which mails are sent; those that concern the safety of the account always are.",
            "example": {"invitation": True, "exportReady": True, "deviceOffline": False, "report": True},
        },
    )


class PreferencesPatchSchema(Schema):
    mail = fields.Nested(MailPreferencesPatchSchema, metadata={"example": {"deviceOffline": False}})


UserListSchema = envelope(UserSchema)


class UserQuerySchema(PageQuerySchema):
    search = Text(100, metadata={"description": "Part of the name or the e-mail address, taken literally."})
    role = fields.String(validate=validate.OneOf(ROLES))
