"""A process as it serves, under gevent, that sends by itself, and is killed while it does."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devicehub.core.config import Settings
from devicehub.webhooks.models import Delivery
from tests.conftest import named, wait_until
from tests.factories import Account, make_device
from tests.nursery import Born, Nursery
from tests.webhooks.conftest import Receiver, drain, speak_tls

pytestmark = pytest.mark.actor()
Listen = Callable[..., dict[str, Any]]


@pytest.fixture
def sending(app: Any, settings: Settings, server_nursery: Nursery) -> Iterator[Callable[..., Born]]:
    """Start a process that sends what is due."""
    started: list[Born] = []

    def start(**environment: str) -> Born:
        env = os.environ | named(settings) | {"WEBHOOK_ALLOW_PRIVATE": "true"} | environment
        started.append(server_nursery.bear("tests.webhooks.sender", environment=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)


def test_it_sends_over_tls(
    account: Account, listen: Listen, receiver: Receiver, certificate: Path, sending: Any
) -> None:
    speak_tls(receiver, certificate)
    listen("device.created", url=f"https://localhost:{receiver.port}/hook")
    for _ in range(5):
        make_device(account.actor)
    sending(SSL_CERT_FILE=str(certificate))
    wait_until(lambda: Delivery.objects(status="delivered").count() == 5, 30, "all to be delivered")
    assert len({got.headers["webhook-id"] for got in receiver.got}) == len(receiver.got) == 5


def test_who_is_killed_while_it_sends_is_succeeded_under_the_same_id(
    account: Account, listen: Listen, receiver: Receiver, sending: Any, clock: Callable[[float], None]
) -> None:
    answering = threading.Event()
    receiver.before_answering = answering.wait
    listen("device.created")
    make_device(account.actor)
    process = sending()
    wait_until(lambda: receiver.got, 30, "it to be sent")
    process.kill()
    process.wait(10)
    answering.set()
    assert drain() == 0
    clock(61)
    drain()
    first, second = receiver.got
    assert (first.headers["webhook-id"], first.raw) == (second.headers["webhook-id"], second.raw)
    assert [one.status for one in Delivery.objects] == ["delivered"]
