"""Ids: malformed is unknown, and derived ones come again."""

import pytest
from bson import ObjectId

from devicehub.core import ids


@pytest.mark.parametrize(
    "odd", ["", "x", "65f0", "65f0a1b2c3d4e5f6a7b8c9dg", "65f0a1b2c3d4e5f6a7b8c9d2\n", "٦" * 24]
)
def test_what_is_not_24_hex_digits_is_no_id(odd: str) -> None:
    assert ids.parse(odd) is None


def test_24_hex_digits_of_either_case_are_an_id() -> None:
    text = "65f0a1b2c3d4e5f6a7b8c9d2"
    assert ids.parse(text) == ids.parse(text.upper()) == ObjectId(text)


def test_a_seed_gives_the_same_ids_each_time_and_different_ones_by_place() -> None:
    assert ids.derived("seed", 1) == ids.derived("seed", 1)
    assert len({ids.derived("seed"), ids.derived("seed", 1), ids.derived("other")}) == 3
