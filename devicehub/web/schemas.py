"""What every schema shares: camelCase keys out, both cases in, unknown keys named, UTC times."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from marshmallow import ValidationError, fields, validate
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from devicehub.core import clock

LARGEST_PAGE = 100
# What is skipped is counted in 64 bits; a page beyond this is nobody's.
LAST_PAGE = 1_000_000


def camel(name: str) -> str:
    """`last_active_at` as `lastActiveAt`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


class Schema(ma.Schema):
    """The base of every schema: keys are camelCase outside and snake_case inside."""

    class Meta:
        unknown = ma.RAISE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.data_key = field_obj.data_key or camel(field_name)

    @ma.pre_load
    def _accept_both_cases(self, data: Any, **_: Any) -> Any:
        """Rewrite declared snake_case names, and only those: what lies inside `metadata` is the client's."""
        renames = {name: field.data_key for name, field in self.load_fields.items() if name != field.data_key}
        if isinstance(data, MultiDictProxy):
            pairs = [(renames.get(key, key), value) for key, value in data.data.items(multi=True)]
            _refuse_both_spellings(data.data, renames)
            return MultiDictProxy(MultiDict(pairs), self)
        if isinstance(data, Mapping):
            _refuse_both_spellings(data, renames)
            return {renames.get(key, key): value for key, value in data.items()}
        return data


def _refuse_both_spellings(data: Mapping[str, Any], renames: Mapping[str, str | None]) -> None:
    twice = [renamed for name, renamed in renames.items() if name in data and renamed in data]
    if twice:
        raise ValidationError({str(key): ["Given twice, in camelCase and in snake_case."] for key in twice})


class Timestamp(fields.AwareDateTime):
    """RFC 3339: milliseconds and `Z` out; in, any offset but never none."""

    default_error_messages = {  # noqa: RUF012 - marshmallow declares it so
        "invalid": "Not a valid RFC 3339 time with an offset.",
        "invalid_awareness": "Name an offset: this time has none.",
    }

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else clock.rfc3339(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        moment: datetime = super()._deserialize(value, attr, data, **kwargs)
        try:
            return moment.astimezone(UTC)
        except OverflowError as error:
            raise self.make_error("invalid") from error


class Text(fields.String):
    """Text of a bounded length: outer blanks go, control characters (but tabs, line ends) are refused."""

    def __init__(self, longest: int, *, shortest: int = 0, **kwargs: Any) -> None:
        rules = [validate.Length(min=shortest or None, max=longest)]
        super().__init__(validate=[*rules, *kwargs.pop("rules", ())], **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = (super()._deserialize(value, attr, data, **kwargs) or "").strip()
        if any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\r\t" for char in text):
            raise ValidationError("Control characters are not allowed.")
        return text


class ProblemSchema(Schema):
    """An error, whatever went wrong (RFC 9457)."""

    type = fields.Url(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    code = fields.String(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    request_id = fields.String(required=True)
    errors = fields.Dict(metadata={"description": "Only for 422: what is wrong with each field."})


class PageQuerySchema(Schema):
    """`page` and `limit` (`perPage` is an alias); subclasses add the filters."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, LAST_PAGE))
    limit = fields.Integer(load_default=20, validate=validate.Range(1, LARGEST_PAGE))
    per_page = fields.Integer(
        validate=validate.Range(1, LARGEST_PAGE), metadata={"description": "An alias of `limit`."}
    )

    @ma.pre_load
    def _refuse_two_limits(self, data: Any, **_: Any) -> Any:
        if "limit" in data and ("perPage" in data or "per_page" in data):
            raise ValidationError({"perPage": ["Give `limit` or `perPage`, not both."]})
        return data


class PaginationSchema(Schema):
    page = fields.Integer(required=True)
    limit = fields.Integer(required=True)
    total = fields.Integer(required=True)
    pages = fields.Integer(required=True)
    has_next = fields.Boolean(required=True)
    has_prev = fields.Boolean(required=True)


def envelope(item: type[Schema]) -> type[Schema]:
    """The schema of a list of `item`: `{"items": [...], "pagination": {...}}`."""
    name = item.__name__.removesuffix("Schema")
    return type(
        f"{name}ListSchema",
        (Schema,),
        {
            "items": fields.List(fields.Nested(item), required=True),
            "pagination": fields.Nested(PaginationSchema, required=True),
        },
    )
