"""The fields our schemas are made of: each says in the document exactly what it takes."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from marshmallow import ValidationError, fields, validate

from devicehub.core import clock

# Numbers from here on, on either side of zero, cannot be kept as they are.
NUMBERS_END = 1 << 63

# Written so that Python and JSON Schema (ECMA 262) read the same; beside them, the two differ over U+FEFF.
_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_BLANKS = r"\s\ufeff"
_OUTER_BLANKS = re.compile(f"^[{_BLANKS}]+|[{_BLANKS}]+$")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class Timestamp(fields.AwareDateTime):
    """RFC 3339: milliseconds and `Z` out; in, any offset but never none.

    What is in no year we can write in UTC is the nearest moment that is: a clock gone astray is no error.
    """

    default_error_messages = {  # noqa: RUF012 - marshmallow declares it so
        "invalid": "Not a valid RFC 3339 time with an offset.",
        "invalid_awareness": "Name an offset: this time has none.",
    }

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"example": "2026-01-31T12:00:00.000Z"} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else clock.rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        text = str(value).upper()
        moment: datetime = super()._deserialize(text, attr, data, **kwargs)
        if not _RFC3339.fullmatch(text):  # what was parsed is ISO 8601, which is wider
            raise self.make_error("invalid")
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            return (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)


class Text(fields.String):
    """Text of a bounded length: outer blanks go, control characters (but tabs, line ends) are refused."""

    def __init__(self, longest: int, *, shortest: int = 0, **kwargs: Any) -> None:
        rules = [validate.Length(min=shortest or None, max=longest)]
        visible = f"([^{_CONTROLS}{_BLANKS}][^{_CONTROLS}]*){{{shortest}}}" if shortest else ""
        metadata = {"pattern": f"^[^{_CONTROLS}]*{visible}$"} | kwargs.pop("metadata", {})
        super().__init__(validate=[*rules, *kwargs.pop("rules", ())], metadata=metadata, **kwargs)
        self._longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs) or ""
        if re.search(f"[{_CONTROLS}\ud800-\udfff]", text):
            raise ValidationError("Control characters are not allowed.")
        return text if len(text) > self._longest else _OUTER_BLANKS.sub("", text)


class Whole(fields.Integer):
    """A whole number from `least` to `most`, however it is spelled: JSON does not tell 1 from 1.0."""

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(least, most), **kwargs)

    def _validated(self, value: Any) -> int:
        return super()._validated(int(value) if isinstance(value, float) and value.is_integer() else value)


class Flag(fields.Boolean):
    """`true` or `false`, and nothing that merely looks like one of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Timezone(fields.String):
    """A time zone by its IANA name."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"format": "iana-timezone", "example": "Europe/Berlin"} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        name = super()._deserialize(value, attr, data, **kwargs) or ""
        if name not in clock.timezones():
            raise ValidationError("Not a time zone of the IANA database, such as Europe/Berlin.")
        return name


class Span(fields.String):
    """A time up to now: hours or days, such as `24h` or `7d`, of at most 90 days."""

    default_error_messages = {"span": "Write hours or days, such as 24h or 7d, of at most 90 days."}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        metadata = {
            "description": "Hours or days, of at most 90 days.",
            "pattern": "^(([1-9][0-9]{0,2}|1[0-9]{3}|20[0-9]{2}|21[0-5][0-9]|2160)h|([1-9]|[1-8][0-9]|90)d)$",
            "example": "7d",
        } | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs) or ""
        match = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", text)
        if match is None or (hours := int(match[1]) * (24 if match[2] == "d" else 1)) > 90 * 24:
            raise self.make_error("span")
        return timedelta(hours=hours)


class Unjudged(fields.Nested):
    """An object that is judged by itself, later: documented as its schema, and taken as it comes."""

    def deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return value


# JSON as we can keep it, in JSON Schema; a component of the document, for it speaks of itself.
NUMBER: dict[str, Any] = {"type": "number", "exclusiveMinimum": -NUMBERS_END, "exclusiveMaximum": NUMBERS_END}
NAME: dict[str, Any] = {"pattern": r"^(?!\$)[^\x00]*$"}
JSON_VALUE: dict[str, Any] = NUMBER | {
    "description": "Any JSON whose names do not begin with $ or hold a NUL, and whose numbers fit in 64 bits.",
    "type": ["object", "array", "string", "number", "boolean", "null"],
    "propertyNames": NAME,
    "additionalProperties": {"$ref": "#/components/schemas/JsonValue"},
    "items": {"$ref": "#/components/schemas/JsonValue"},
}


class JsonObject(fields.Dict):
    """An object of the client's own, kept as it is.

    MongoDB reads names that begin with `$` as operators, and cannot keep a NUL in a name.
    """

    def __init__(self, *, largest: int, **kwargs: Any) -> None:
        schema = {key: JSON_VALUE[key] for key in ("propertyNames", "additionalProperties")}
        metadata = {"schema": schema} | kwargs.pop("metadata", {})
        super().__init__(metadata=metadata, **kwargs)
        self._largest = largest

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]
        if any(name.startswith("$") or "\0" in name for name in _names(found)):
            raise ValidationError("Names must not begin with $ or hold a NUL.")
        try:
            size = len(orjson.dumps(found))
        except orjson.JSONEncodeError as error:
            raise ValidationError("Its numbers have to fit in 64 bits, and its texts in UTF-8.") from error
        if size > self._largest:
            raise ValidationError(f"Larger than {self._largest} bytes of JSON.")
        return found


def _names(value: Any) -> Iterator[str]:
    """Every name in it, however deep."""
    level = [value]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            yield from item
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)
