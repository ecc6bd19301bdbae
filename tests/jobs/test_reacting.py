"""What follows from an event is asked for once, for whoever caused it."""

from collections.abc import Iterator

import pytest

from devicehub.core import events
from devicehub.core.actor import Actor
from devicehub.core.events import Event, emit, tell
from devicehub.jobs import reacting
from devicehub.jobs.models import Job

pytestmark = pytest.mark.usefixtures("app")

ON = {"device.retired": ("tests.note", "tests.despair"), "device.created": ("tests.note",)}


@pytest.fixture(autouse=True)
def reactions() -> Iterator[None]:
    before = list(events._sinks)
    events.attach(reacting.to(ON))
    yield
    events.attach(*before)


@pytest.mark.actor(role="operator")
def test_after_an_event_its_jobs_are_asked_for_with_its_facts_by_who_caused_it(actor: Actor) -> None:
    emit("device.retired", actor, device_id="1", name="Boiler")
    asked = Job.objects.order_by("id")
    assert [job.name for job in asked] == ["tests.note", "tests.despair"]
    for job in asked:
        assert dict(job.arguments) == {"device_id": "1", "name": "Boiler"}
        assert (str(job.user_id), str(job.organization_id)) == (actor.user_id, actor.organization_id)


@pytest.mark.actor()
def test_nothing_follows_from_an_event_that_is_not_named(actor: Actor) -> None:
    emit("device.heartbeat", actor)
    assert Job.objects.count() == 0


@pytest.mark.actor()
def test_what_happens_twice_has_two_consequences_and_what_is_told_twice_has_one(actor: Actor) -> None:
    emit("device.created", actor, device_id="1")
    emit("device.created", actor, device_id="1")
    assert Job.objects.count() == 2
    again = Event("device.created", actor, {"device_id": "2"})
    tell(again)
    tell(again)
    assert Job.objects.count() == 3
