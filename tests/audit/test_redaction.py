"""What of a change is kept: nothing secret, nothing large, nothing MongoDB would read as its own."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from devicehub.audit.redaction import CUT, LARGEST, LONGEST_TEXT, MOST_PARTS, redacted


@pytest.mark.parametrize(
    "name", ["password", "accessToken", "client_secret", "OTP", "Authorization", "set-cookie", "api_key", "_token"]
)
def test_what_names_a_secret_is_masked_however_deep_it_lies(name: str) -> None:
    kept = redacted({name: "hunter2", "metadata": {"list": [{name: ["hunter2"]}]}})
    assert kept == {name: "***", "metadata": {"list": [{name: "***"}]}}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        (1 << 62, 1 << 62),
        (1 << 63, str(1 << 63)),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00.000Z"),
        (("a", {"b"}), ["a", ["b"]]),
        ("half \ud800 a pair", "half ? a pair"),
        ("x" * (LONGEST_TEXT + 1), "x" * (LONGEST_TEXT - 1) + CUT),
        ([1] * (MOST_PARTS + 1), [1] * MOST_PARTS),
        ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": CUT}}}),
        ({"$set": 1, "a\0b": 2}, {"\uff04set": 1, "a\ufffdb": 2}),
    ],
)
def test_what_is_kept_is_plain_and_bounded(value: Any, kept: Any) -> None:
    assert redacted({"changed": value}) == {"changed": kept}


def test_of_what_is_too_large_the_names_are_kept() -> None:
    large = {f"field{number}": "x" * LONGEST_TEXT for number in range(MOST_PARTS + 10)}
    kept = redacted(large)
    assert set(kept.values()) == {CUT} and len(kept) == MOST_PARTS
    assert len(orjson.dumps(kept)) <= LARGEST
