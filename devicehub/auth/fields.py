"""Fields of accounts, and the rules of a password that hold for everybody."""

import unicodedata
from typing import Any

from marshmallow import ValidationError, fields

SHORTEST, LONGEST_BYTES = 8, 72


def normalize(password: str) -> str:
    """The form a password is hashed in: NFKC, so that how a keyboard composed it does not matter."""
    return unicodedata.normalize("NFKC", password)


def wrong_length(password: str) -> str | None:
    """What is wrong with the length of a password, whosever it is to be."""
    text = normalize(password)
    if min(len(password), len(text)) < SHORTEST:  # as it was sent, too: one sign may become three
        return f"Shorter than {SHORTEST} characters."
    if len(text.encode()) > LONGEST_BYTES:
        return f"Longer than {LONGEST_BYTES} bytes."
    return None


class NewPassword(fields.String):
    """A password that is to be set; what is known only of whose it is, the service judges."""

    def __init__(self, *, example: str) -> None:
        told = {
            "description": "At least 8 characters and at most 72 bytes (NFKC); no common password.",
            "format": "password",
            "minLength": SHORTEST,
            "maxLength": LONGEST_BYTES,
            "example": example,
        }
        super().__init__(required=True, metadata=told)

    def _deserialize(self, *args: Any, **kwargs: Any) -> str:
        password: str = super()._deserialize(*args, **kwargs)
        if reason := wrong_length(password):
            raise ValidationError(reason)
        return password
