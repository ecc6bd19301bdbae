"""A receiver that fails is left alone for a while."""

from collections.abc import Callable
from typing import Any

import pytest

from devicehub.core.actor import Actor
from devicehub.webhooks import draining
from tests.factories import make_device
from tests.webhooks.conftest import Receiver, drain

pytestmark = pytest.mark.actor()


@pytest.fixture
def failing(actor: Actor, listen: Callable[..., Any], receiver: Receiver) -> Receiver:
    """A receiver that answers 500, and is owed as many deliveries as it may fail in a row."""
    listen("device.created")
    receiver.says(500)
    for _ in range(3):
        make_device(actor)
    return receiver


def test_a_receiver_that_fails_is_left_alone_although_more_happens(actor: Actor, failing: Receiver) -> None:
    drain()
    assert len(failing.got) == draining.MOST_FAILURES
    make_device(actor)  # in the next moment
    drain()
    assert len(failing.got) == draining.MOST_FAILURES


def test_what_happens_meanwhile_does_not_end_the_rest(actor: Actor, failing: Receiver) -> None:
    failing.before_answering = lambda: make_device(actor) if len(failing.got) == 3 else None
    drain()
    assert len(failing.got) == draining.MOST_FAILURES
