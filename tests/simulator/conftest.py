from collections.abc import Iterator

import pytest

from tests.simulator.stub import Stub, serving


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A server that can be told to misbehave."""
    with serving(Stub()) as stub:
        yield stub
