"""Which mails one wants: a flag for each kind; those of the kinds that are always mailed can only be true."""

from typing import Any

from marshmallow import fields, validate

from devicehub.mail.models import OPTIONAL_KINDS, SECURITY_KINDS
from devicehub.web.fields import Flag
from devicehub.web.schemas import Schema


def _optional(*, required: bool) -> dict[str, fields.Field[Any]]:
    return {kind: Flag(required=required, metadata={"example": True}) for kind in OPTIONAL_KINDS}


def _fixed() -> dict[str, fields.Field[Any]]:
    always = {"description": "Always mailed: it concerns the safety of the account.", "example": True}
    must = validate.Equal(True, error="This mail concerns the safety of the account and cannot be turned off.")
    return {kind: Flag(validate=must, metadata=always) for kind in SECURITY_KINDS}


MailPreferencesSchema = Schema.from_dict(_optional(required=True) | _fixed(), name="MailPreferencesSchema")
MailPreferencesPatchSchema = Schema.from_dict(
    _optional(required=False) | _fixed(), name="MailPreferencesPatchSchema"
)
