"""The address of a receiver, as far as its text tells whether it will do."""

import re
from typing import Any

from marshmallow import ValidationError, fields

LONGEST_URL = 2000
LAST_PORT = 65_535
# A name, or a number in brackets; a port; a path and a query. Nobody's name and password, and no fragment.
_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?"
_SHAPE = re.compile(
    rf"https?://(?:{_NAME}|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?(?:[/?][!-\"$-\[\]-~]*)?"
)


class ReceiverUrl(fields.String):
    """`https://name[:port][/path][?query]`, or with `http`, in visible ASCII."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"format": "receiver-url", "example": "https://hooks.example.com/devicehub"}
        super().__init__(metadata=metadata | kwargs.pop("metadata", {}), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs) or ""
        if len(text) > LONGEST_URL:
            raise ValidationError(f"Longer than maximum length {LONGEST_URL}.")
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise ValidationError("Write an address such as https://hooks.example.com/path, without a fragment.")
        if match["port"] and not 1 <= int(match["port"]) <= LAST_PORT:
            raise ValidationError(f"A port lies between 1 and {LAST_PORT}.")
        return text
