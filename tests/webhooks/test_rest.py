"""A receiver that fails is left alone for a while."""

from collections.abc import Callable
from typing import Any

import pytest

from devicehub.core.actor import Actor
from devicehub.webhooks import draining
from tests.factories import make_device
from tests.webhooks.conftest import Receiver, drain

pytestmark = pytest.mark.actor()


def test_a_receiver_that_fails_is_left_alone_although_more_happens(
    actor: Actor, listen: Callable[..., Any], receiver: Receiver
) -> None:
    listen("device.created")
    receiver.says(500)
    for _ in range(3):
        make_device(actor)
    drain()
    assert len(receiver.got) == draining.MOST_FAILURES
    make_device(actor)  # in the next moment
    drain()
    assert len(receiver.got) == draining.MOST_FAILURES


def test_what_happens_meanwhile_does_not_end_the_rest(
    actor: Actor, listen: Callable[..., Any], receiver: Receiver
) -> None:
    listen("device.created")
    receiver.says(500)
    for _ in range(3):
        make_device(actor)
    receiver.before_answering = lambda: make_device(actor) if len(receiver.got) == 3 else None
    drain()
    assert len(receiver.got) == draining.MOST_FAILURES
