"""The quick way of judging heartbeats comes to what the schema says, whatever is sent."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from devicehub.devices import intake, schemas

TEXTS = st.one_of(
    st.sampled_from(["on", " on", "on ", "a\tb", "", "ü", "$a", "a$", "\x7f", "x" * 100, "x" * 101, "active"]),
    st.text(max_size=5),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([1 << 63, -(1 << 63), (1 << 63) - 1, 2.0**63]))
ODD = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.just([]), st.just({}))
METRICS = st.one_of(
    st.dictionaries(TEXTS, NUMBERS, max_size=3),
    st.dictionaries(TEXTS, ODD, max_size=2),
    st.sampled_from([50, 51]).map(lambda count: {f"m{number}": number for number in range(count)}),
)
FIELDS = {
    "status": st.one_of(st.sampled_from(["active", "inactive", "maintenance", "Active"]), ODD),
    "metrics": st.one_of(METRICS, ODD),
    "firmwareVersion": st.one_of(TEXTS, ODD),
    "firmware_version": TEXTS,
    "sentAt": st.one_of(st.sampled_from(["2026-01-31T12:00:00Z", "2026-01-31"]), ODD),
    "goodbye": ODD,
    "reason": TEXTS,
    "colour": ODD,
}
USUAL = {name: FIELDS[name] for name in ("status", "metrics", "firmwareVersion")}
BEATS = st.one_of(ODD, st.fixed_dictionaries({}, optional=USUAL), st.fixed_dictionaries({}, optional=FIELDS))


def outcome(judge: Any, raw: Any) -> Any:
    try:
        return sorted(judge(raw).items())
    except ValidationError as error:
        return "refused", error.messages


def they_come_to_the_same(raw: Any) -> None:
    found, expected = outcome(intake.judge, raw), outcome(schemas.HeartbeatSchema().load, raw)
    assert repr(found) == repr(expected)  # by which 1 and 1.0 differ, and one NaN is another


@settings(max_examples=300, deadline=None)
@given(BEATS)
def test_both_ways_come_to_the_same(raw: Any) -> None:
    they_come_to_the_same(raw)


# Of many fields drawn at once one is nearly always wrong; what only one of them makes wrong has to be tried alone.
EDGES = [
    *("", "on", " on", "on ", "a\tb", "ü", "$a", "a$", "\x7f", "x" * 100, "x" * 101, "active", "Active"),
    *(None, True, False, [], {}, 0, 2.0, math.nan, math.inf, -math.inf),
    *((1 << 63) - 1, 1 << 63, -(1 << 63), 1 - (1 << 63), 2.0**63),
    *({f"m{number}": number for number in range(count)} for count in (50, 51)),
]  # fmt: skip


@pytest.mark.parametrize("field", [*FIELDS, "metrics:name", "metrics:value"])
def test_they_do_whatever_is_odd_about_one_field(field: str) -> None:
    for value in EDGES:
        if field == "metrics:value":
            they_come_to_the_same({"metrics": {"temperature": value}})
        elif field == "metrics:name":
            they_come_to_the_same({"metrics": {str(value): 1}})
        else:
            they_come_to_the_same({field: value})


def test_what_fleets_send_goes_the_quick_way() -> None:
    for raw in ({}, {"metrics": {"temperature": 21.5}}, {"status": "active", "firmwareVersion": "1.4.2"}):
        assert intake._plain(raw) is not None
