"""What every schema shares: camelCase keys out, both cases in, unknown keys named, UTC times."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import ValidationError, fields, validate
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

LARGEST_PAGE = 100
# What is skipped is counted in 64 bits; a page beyond this is nobody's.
LAST_PAGE = 1_000_000
LONGEST_CURSOR = 300


def camel(name: str) -> str:
    """`last_active_at` as `lastActiveAt`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


class Schema(ma.Schema):
    """The base of every schema: keys are camelCase outside and snake_case inside."""

    # Names that are taken for another's, beside its snake_case form.
    aliases: ClassVar[Mapping[str, str]] = {}
    # What JSON Schema is to say of the whole, such as that one field or another is needed.
    keywords: ClassVar[Mapping[str, Any]] = {}

    class Meta:
        unknown = ma.RAISE

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.data_key = field_obj.data_key or camel(field_name)

    @ma.pre_load
    def _accept_both_cases(self, data: Any, **_: Any) -> Any:
        """Rewrite declared snake_case names, and only those: what lies inside `metadata` is the client's."""
        renames = {name: str(field.data_key) for name, field in self.load_fields.items()} | {**self.aliases}
        if isinstance(data, MultiDictProxy):
            pairs = [(renames.get(key, key), value) for key, value in data.data.items(multi=True)]
            _refuse_two_names(data.data, renames)
            _refuse_two_values(
                pairs, {str(field.data_key) for field in self.load_fields.values()} - data.multiple_keys
            )
            return MultiDictProxy(MultiDict(pairs), self)
        if isinstance(data, Mapping):
            _refuse_two_names(data, renames)
            return {renames.get(key, key): value for key, value in data.items()}
        return data


def _refuse_two_names(keys: Iterable[str], renames: Mapping[str, str]) -> None:
    names = defaultdict(list)
    for key in set(keys):
        names[renames.get(key, key)].append(key)
    twice = {name: ["Given twice, under two of its names."] for name in names if len(names[name]) > 1}
    if twice:
        raise ValidationError(twice)


def _refuse_two_values(pairs: Iterable[tuple[str, str]], single: set[str]) -> None:
    """One of them would count, and nobody be told which."""
    counts = Counter(name for name, _ in pairs if name in single)
    twice = {name: ["Given more than once."] for name, count in counts.items() if count > 1}
    if twice:
        raise ValidationError(twice)


class ProblemSchema(Schema):
    """An error, whatever went wrong (RFC 9457)."""

    type = fields.Url(
        required=True, metadata={"format": "uri", "example": "https://devicehub.dev/errors/device-not-found"}
    )
    title = fields.String(required=True, metadata={"example": "Device not found"})
    status = fields.Integer(required=True, metadata={"example": 404})
    code = fields.String(required=True, metadata={"example": "DEVICE_NOT_FOUND"})
    detail = fields.String(required=True, metadata={"example": "No device 65f0... in this organization."})
    instance = fields.String(required=True, metadata={"example": "/api/devices/65f0..."})
    request_id = fields.String(required=True, metadata={"example": "3f0c9a7be1d24c55"})
    errors = fields.Dict(
        metadata={
            "description": "Only for 422: what is wrong with each field.",
            "example": {"name": ["Length must be between 2 and 100."]},
        }
    )
    attempts_remaining = fields.Integer(
        metadata={"description": "Only for INVALID_OTP: how often this code may still be tried.", "example": 4}
    )


class _LimitedSchema(Schema):
    aliases: ClassVar[Mapping[str, str]] = {"perPage": "limit", "per_page": "limit"}

    limit = fields.Integer(
        load_default=20,
        validate=validate.Range(1, LARGEST_PAGE),
        metadata={"description": "How many a page; `perPage` is another name of it."},
    )


class PageQuerySchema(_LimitedSchema):
    """`page` and `limit` (`perPage` is an alias); subclasses add the filters."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, LAST_PAGE))


class CursorQuerySchema(_LimitedSchema):
    """`cursor` and `limit` (`perPage` is an alias); subclasses add the filters."""

    cursor = fields.String(
        validate=validate.Length(1, LONGEST_CURSOR),
        metadata={"description": "The `nextCursor` of the part before; the first part without it."},
    )


class PaginationSchema(Schema):
    page = fields.Integer(required=True, metadata={"example": 1})
    limit = fields.Integer(required=True, metadata={"example": 20})
    total = fields.Integer(required=True, metadata={"example": 1})
    pages = fields.Integer(required=True, metadata={"example": 1})
    has_next = fields.Boolean(required=True, metadata={"example": False})
    has_prev = fields.Boolean(required=True, metadata={"example": False})


class CursorPaginationSchema(Schema):
    limit = fields.Integer(required=True, metadata={"example": 20})
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "What to ask for next; null when there is no more.", "example": "WzQyXQ.k3v0..."},
    )


def envelope(item: type[Schema]) -> type[Schema]:
    """The schema of a list of `item`: `{"items": [...], "pagination": {"page", "limit", "total", ...}}`."""
    return _envelope(item, "List", PaginationSchema)


def cursor_envelope(item: type[Schema]) -> type[Schema]:
    """The schema of a cursor list of `item`: `{"items": [...], "pagination": {"limit", "nextCursor"}}`."""
    return _envelope(item, "CursorList", CursorPaginationSchema)


def _envelope(item: type[Schema], kind: str, pagination: type[Schema]) -> type[Schema]:
    return type(
        f"{item.__name__.removesuffix('Schema')}{kind}Schema",
        (Schema,),
        {
            "items": fields.List(fields.Nested(item), required=True),
            "pagination": fields.Nested(pagination, required=True),
        },
    )
