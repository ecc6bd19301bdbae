"""Who listens to what: the enabled webhooks of an organization, cached, for it is asked at every event."""

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
from bson import ObjectId

from devicehub.core import cache
from devicehub.webhooks.models import Webhook

NOUN = "webhooks"
TTL_S = 300

Listener = tuple[ObjectId, frozenset[str]]


def listeners(organization_id: str) -> list[Listener]:
    """The webhooks of an organization that are told of something, and of what."""

    def compute() -> bytes:
        enabled = Webhook.objects(organization_id=ObjectId(organization_id), enabled=True).only("events")
        return orjson.dumps([[str(webhook.id), list(webhook.events)] for webhook in enabled])

    found = cache.current().fetch(organization_id, NOUN, "listening", ttl=TTL_S, compute=compute)
    return [(ObjectId(one), frozenset(kinds)) for one, kinds in orjson.loads(found.payload)]


@contextmanager
def changing(organization_id: str) -> Iterator[None]:
    """Surround a write that changes who listens."""
    with cache.current().writing(organization_id, NOUN):
        yield
