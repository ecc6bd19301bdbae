"""Tests that share what is expensive run in one of the parallel workers."""

import pytest


@pytest.mark.xdist_group("groups")
def test_a_group_is_known_to_who_distributes_it(request: pytest.FixtureRequest) -> None:
    """pytest-xdist reads it off a test's id; where it does not stand there, a group is spread without a word."""
    is_grouping = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@groups") == is_grouping
