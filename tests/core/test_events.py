"""Events: told after the write, to everyone, whoever fails."""

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from devicehub.core import events
from devicehub.core.actor import Actor
from devicehub.core.events import Event

ADA = Actor("65f0a1b2c3d4e5f6a7b8c9d0", "65f0a1b2c3d4e5f6a7b8c9d1", "owner")


@pytest.fixture
def sinks() -> Iterator[Any]:
    """Set who listens; whoever did before does again after the test."""
    before = list(events._sinks)
    yield events.attach
    events.attach(*before)


def test_every_sink_hears_an_event_in_the_order_they_stand(sinks: Any) -> None:
    heard: list[str] = []
    sinks(lambda event: heard.append(f"first {event.name}"), lambda event: heard.append(f"second {event.name}"))
    events.emit("device.created", ADA)
    assert heard == ["first device.created", "second device.created"]


def test_a_sink_that_fails_stops_neither_the_others_nor_the_caller(sinks: Any) -> None:
    heard: list[Event] = []

    def broken(_: Event) -> None:
        raise RuntimeError("the bus is away")

    sinks(broken, heard.append)
    events.emit("device.created", ADA, device_id="1")
    assert [(event.name, dict(event.data)) for event in heard] == [("device.created", {"device_id": "1"})]


def test_a_fact_may_have_any_name(sinks: Any) -> None:
    heard: list[Event] = []
    sinks(heard.append)
    events.emit("device.created", ADA, name="Boiler", actor="a person")
    assert heard[0].data == {"name": "Boiler", "actor": "a person"}


def test_each_event_is_another_one(sinks: Any) -> None:
    heard: list[Event] = []
    sinks(heard.append)
    events.emit("device.created", ADA)
    events.emit("device.created", ADA)
    assert heard[0].id != heard[1].id


def test_an_event_cannot_be_changed_by_who_hears_it(sinks: Any) -> None:
    heard: list[Event] = []
    sinks(heard.append)
    events.emit("device.created", ADA)
    with pytest.raises(AttributeError):
        heard[0].name = "device.deleted"  # type: ignore[misc]


@pytest.fixture
def keepers() -> Iterator[Any]:
    """Set who keeps; whoever did before does again after the test."""
    before = list(events._keepers)
    yield events.attach_keepers
    events.attach_keepers(*before)


def test_a_keeper_hears_at_once_what_is_told_together_and_by_itself_what_is_not(keepers: Any) -> None:
    heard: list[list[str]] = []
    keepers(lambda told: heard.append([event.name for event in told]))
    events.emit("one", ADA)
    with events.together():
        events.emit("two", ADA)
        events.emit("three", ADA)
        assert heard == [["one"]]
    assert heard == [["one"], ["two", "three"]]
    with events.together():
        pass
    assert len(heard) == 2


def test_a_database_that_is_away_is_told_to_who_told_together_and_nothing_else_is(keepers: Any) -> None:
    reasons: list[Exception] = [RuntimeError("a mistake"), AutoReconnect("gone"), AutoReconnect("gone")]

    def broken(_: Any) -> None:
        raise reasons.pop(0)

    keepers(broken)
    with events.together():
        events.emit("one", ADA)
    events.emit("two", ADA)
    with pytest.raises(AutoReconnect), events.together():
        events.emit("three", ADA)


def test_what_fails_before_the_end_is_kept_by_nobody(keepers: Any) -> None:
    heard: list[Any] = []
    keepers(heard.append)
    with pytest.raises(ValueError), events.together():
        events.emit("one", ADA)
        raise ValueError
    assert heard == []
