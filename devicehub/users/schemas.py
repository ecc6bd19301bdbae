"""What of a user goes in and out."""

from typing import Any

from marshmallow import fields, validate

from devicehub.mail.schemas import MailPreferencesPatchSchema, MailPreferencesSchema
from devicehub.users.models import IN_APP_FIXED, IN_APP_KINDS, ROLES, WHOSE_DEVICES
from devicehub.web.fields import Flag, Text, Timestamp
from devicehub.web.schemas import PageQuerySchema, Schema, camel, envelope


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


def _in_app(*, required: bool) -> dict[str, fields.Field[Any]]:
    return {kind: Flag(required=required, metadata={"example": True}) for kind in IN_APP_KINDS}


def _fixed() -> dict[str, fields.Field[Any]]:
    always = {"description": "Always there: it concerns the safety of the account.", "example": True}
    must = validate.Equal(True, error="What concerns the safety of the account cannot be turned off.")
    return {kind: Flag(validate=must, metadata=always) for kind in IN_APP_FIXED}


InAppPreferencesSchema = Schema.from_dict(_in_app(required=True) | _fixed(), name="InAppPreferencesSchema")
InAppPreferencesPatchSchema = Schema.from_dict(
    _in_app(required=False) | _fixed(), name="InAppPreferencesPatchSchema"
)


def _webhooks(*, required: bool) -> dict[str, fields.Field[Any]]:
    return {kind: Flag(required=required, metadata={"example": False}) for kind in (*IN_APP_KINDS, *IN_APP_FIXED)}


WebhookPreferencesSchema = Schema.from_dict(_webhooks(required=True), name="WebhookPreferencesSchema")
WebhookPreferencesPatchSchema = Schema.from_dict(_webhooks(required=False), name="WebhookPreferencesPatchSchema")

_MAIL = {
    "description": "Which mails are sent; those that concern the safety of the account always are.",
    "example": {"invitation": True, "exportReady": True, "deviceOffline": False, "report": True},
}
_IN_APP = {
    "description": "Which notifications are kept within the application, and told to those who listen.",
    "example": {
        "deviceOffline": True,
        "invitation": True,
        "exportReady": True,
        "exportFailed": True,
        "report": False,
        "webhook": True,
    },
}
_WEBHOOKS = {
    "description": "Which of them are also told to webhooks of the organization that listen.",
    "example": {"deviceOffline": True},
}


def _offline_devices(*, required: bool) -> fields.String:
    description = "Of whose devices one is told that they are offline: one's own, or all of one's organizations."
    metadata = {"description": description, "example": "all"}
    return fields.String(validate=validate.OneOf(WHOSE_DEVICES), metadata=metadata, required=required)


class PreferencesSchema(Schema):
    mail = fields.Nested(MailPreferencesSchema, required=True, metadata=_MAIL)
    in_app = fields.Nested(InAppPreferencesSchema, required=True, metadata=_IN_APP)
    webhooks = fields.Nested(
        WebhookPreferencesSchema,
        required=True,
        metadata=_WEBHOOKS | {"example": dict.fromkeys(map(camel, (*IN_APP_KINDS, *IN_APP_FIXED)), False)},
    )
    offline_devices = _offline_devices(required=True)


class PreferencesPutSchema(Schema):
    """Of what is not named nothing changes: those who know of mails alone put these."""

    mail = fields.Nested(MailPreferencesSchema, required=True, metadata=_MAIL)
    in_app = fields.Nested(InAppPreferencesSchema, metadata=_IN_APP)
    webhooks = fields.Nested(WebhookPreferencesPatchSchema, metadata=_WEBHOOKS)
    offline_devices = _offline_devices(required=False)


class PreferencesPatchSchema(Schema):
    mail = fields.Nested(MailPreferencesPatchSchema, metadata={"example": {"deviceOffline": False}})
    in_app = fields.Nested(InAppPreferencesPatchSchema, metadata={"example": {"report": False}})
    webhooks = fields.Nested(WebhookPreferencesPatchSchema, metadata=_WEBHOOKS)
    offline_devices = _offline_devices(required=False)


UserListSchema = envelope(UserSchema)


class UserQuerySchema(PageQuerySchema):
    search = Text(100, metadata={"description": "Part of the name or the e-mail address, taken literally."})
    role = fields.String(validate=validate.OneOf(ROLES))
