"""The quick way of judging logs comes to what the schema says, whatever is sent."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from devicehub.core import clock
from devicehub.core.errors import InvalidInput
from devicehub.logs import intake, schemas

NOW = clock.rfc3339(clock.now())
TEXTS = st.one_of(st.sampled_from(["on", " on", "on ", "a\tb", "", "ü", "x" * 101, "a.b$c%"]), st.text(max_size=5))
MOMENTS = [NOW, NOW.lower(), NOW[:-1], NOW[:10], "2020-01-01T00:00:00Z", "9999-99-99T99:99:99Z"]
TIMES = st.sampled_from([*MOMENTS, 1, None])
ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.just([]), st.just({}))
FIELDS = {
    "event": st.one_of(TEXTS, ODD),
    "value": st.one_of(st.floats(), st.integers(), st.just("1.5"), ODD),
    "level": st.one_of(st.sampled_from(["info", "error", "loud"]), ODD),
    "message": st.one_of(TEXTS, st.just("x" * 2001), ODD),
    "timestamp": st.one_of(TIMES, ODD),
    "sequence": st.one_of(st.integers(-1, 1 << 53), st.just(3.0), ODD),
    "metadata": st.one_of(st.dictionaries(TEXTS, ODD, max_size=2), ODD),
    "colour": ODD,
}
OTHERS = {name: strategy for name, strategy in FIELDS.items() if name != "event"}
LOGS = st.one_of(
    ODD, st.fixed_dictionaries({"event": TEXTS}, optional=OTHERS), st.fixed_dictionaries({}, optional=FIELDS)
)


def by_schema(raw: Any) -> Any:
    try:
        return intake.dated(schemas.NewLogSchema().load(raw), clock.now())
    except (ValidationError, InvalidInput):
        return None


def they_come_to_the_same(raw: Any) -> None:
    sound, wrong = intake.judge([raw])
    found, expected = sound.get(0), by_schema(raw)
    assert (found is None) == (expected is None) == (0 in wrong)
    if found is not None and "timestamp" not in raw:
        found["at"] = expected["at"]
    assert found == expected
    assert found is None or {name: type(found[name]) for name in found} == {
        name: type(expected[name]) for name in found
    }


@settings(max_examples=300, deadline=None)
@given(LOGS)
def test_both_ways_come_to_the_same(raw: Any) -> None:
    they_come_to_the_same(raw)


# Of many fields drawn at once one is nearly always wrong; what only one of them makes wrong has to be tried alone.
EDGES = [
    *("", "on", " on", "on ", "a\tb", "ü", "\x7f", "x" * 100, "x" * 101, "x" * 2000, "x" * 2001, "info", "loud", "1.5"),
    *(None, True, False, [], {}, 0, -1, 3.0, 1.5, math.nan, math.inf, -math.inf),
    *((1 << bits) + off for bits in (53, 63) for off in (-1, 0)),
    *(-(1 << 63), 1 - (1 << 63), 2.0**63, *MOMENTS),
]  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_they_do_whatever_is_odd_about_one_field(field: str) -> None:
    for value in EDGES:
        they_come_to_the_same({"event": "on"} | {field: value})
