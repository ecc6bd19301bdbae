"""Fields take exactly what the document says they take, as a validator of JSON Schema reads it."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError, fields

from devicehub.core.errors import MalformedRequest
from devicehub.extensions import api
from devicehub.web import openapi
from devicehub.web.fields import Flag, JsonObject, Text, Timestamp, Whole
from devicehub.web.parsing import parse_json

# What engines of regular expressions, and Python's `strip`, like to disagree about.
ODD = " \t\n\r\x0b\x0c\x00\x1c\x1f\x7f\x85\x9f\xa0\ufeff\u200b\u2028\u3000"
TEXTS = st.text(st.sampled_from(ODD), max_size=4) | st.text(st.characters(codec="utf-8"), max_size=7)
EDGES = st.sampled_from([sign * ((1 << 63) + by) for sign in (1, -1) for by in (-1024, -1, 0, 1, 1024)])
NUMBERS = st.integers() | EDGES | EDGES.map(float) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(["", "$", "$gt", "a$", "a.b", "\x00", "a\x00"]) | TEXTS
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def takes(field: fields.Field[Any], value: Any) -> bool:
    """Whether a body with this value for the field would be read."""
    try:
        field.deserialize(parse_json(json.dumps(value).encode()))
    except (ValidationError, MalformedRequest):
        return False
    return True


def told(field: fields.Field[Any]) -> Callable[[Any], bool]:
    """Whether the schema of the field says that it takes a value."""
    components = openapi.spec().to_dict()["components"]
    schema = {"allOf": [api.ma_plugin.converter.field2property(field)], "components": components}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True).is_valid


@pytest.mark.parametrize("shortest", [0, 1, 2])
def test_text(app: Flask, shortest: int) -> None:
    field = Text(5, shortest=shortest)
    is_told = told(field)

    @settings(max_examples=500)
    @given(TEXTS)
    def same(value: str) -> None:
        assert takes(field, value) is is_told(value)

    same()


def test_an_object_of_the_clients_own(app: Flask) -> None:
    field = JsonObject(largest=1 << 20)
    is_told = told(field)

    @given(st.dictionaries(NAMES, VALUES, max_size=3) | VALUES)
    def same(value: Any) -> None:
        assert takes(field, value) is is_told(value)

    same()


@pytest.mark.parametrize("value", [{"on": 1 << 64}, {"on": [-(1 << 63) - 1]}, {"on": "\ud800"}])
def test_what_json_cannot_carry_is_refused_in_an_object(app: Flask, value: Any) -> None:
    assert takes(JsonObject(largest=1 << 20), value) is False


def test_a_whole_number(app: Flask) -> None:
    field = Whole(5, 10)
    is_told = told(field)

    @given(
        st.integers(3, 12)
        | st.integers(3, 12).map(float)
        | st.floats(3, 12)
        | st.booleans()
        | st.sampled_from(["7", None])
    )
    def same(value: Any) -> None:
        assert takes(field, value) is is_told(value)

    same()


@pytest.mark.parametrize("value", [True, False, 0, 1, 1.0, "true", "yes", "", None, [], {}])
def test_a_flag(app: Flask, value: Any) -> None:
    field = Flag()
    assert takes(field, value) is told(field)(value)


@pytest.mark.parametrize(
    "value",
    ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456789+05:30", "2026-01-31t12:00:00-00:00", "0001-01-01T00:00:00+14:00",
     "9999-12-31T23:59:59.999-12:00", "2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31", "20260131T120000Z",
     "2026-W05-6T12:00:00Z", "2026-01-31T12Z", "2026-01-31T12:00:00+0530", "2026-02-30T12:00:00Z", "2026-01-31T12:60:00Z",
     "2026-01-31T12:00:00,5Z", "\uff12026-01-31T12:00:00Z", "1769860800", 1769860800, "", "now", None],
)  # fmt: skip
def test_a_time(app: Flask, value: Any) -> None:
    field = Timestamp()
    assert takes(field, value) is told(field)(value)
