"""Jobs to try the engine with. Worker processes of the tests declare the same ones: see `tests/nursery.py`."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from devicehub.features import doors
from devicehub.jobs import registry
from tests.jobs import deeds as declared


@pytest.fixture
def deeds() -> Iterator[ModuleType]:
    """Declare the jobs of `deeds.py` for the length of a test."""
    list(doors("jobs"))  # a door imported in between would declare its jobs once, and lose them below
    before = dict(registry._registered)
    declared.declare()
    yield declared
    registry._registered.clear()
    registry._registered.update(before)
