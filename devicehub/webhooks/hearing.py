"""What happened becomes what webhooks are owed: a keeper of events, so that many at once are written at once."""

from collections import defaultdict
from collections.abc import Sequence

from bson import ObjectId

from devicehub.core.events import Event
from devicehub.users import preferences
from devicehub.webhooks import deliveries
from devicehub.webhooks.claims import Row
from devicehub.webhooks.listening import Listener, listeners
from devicehub.webhooks.messages import Message, is_told, messages


def hear(events: Sequence[Event]) -> None:
    """Write a delivery for each webhook that listens to what happened; told twice, once."""
    told = defaultdict[str, list[Event]](list)
    for event in events:
        if is_told(event):
            told[event.actor.organization_id].append(event)
    deliveries.owe([draft for organization_id in told for draft in _owed(organization_id, told[organization_id])])


def _owed(organization_id: str, told: Sequence[Event]) -> list[Row]:
    listening = listeners(organization_id)
    if not listening:
        return []
    return [
        deliveries.drafted(webhook_id, message)
        for event in told
        for message in messages(event)
        for webhook_id in _told_of(message, listening)
    ]


def _told_of(message: Message, listening: Sequence[Listener]) -> list[ObjectId]:
    wanting = [webhook_id for webhook_id, kinds in listening if message.kind in kinds]
    return wanting if wanting and _may_be_told(message) else []


def _may_be_told(message: Message) -> bool:
    """What is for one person alone is told to others only if they said so."""
    if message.kind != "notification.created":
        return True
    return preferences.passes_on(message.data["userId"], message.data["type"])
