"""Forgetting webhooks and what they were told, in batches."""

from collections.abc import Iterator
from typing import Any

from bson import ObjectId

from devicehub.webhooks import deliveries, listening
from devicehub.webhooks.models import Webhook

BATCH = 1000


def of_organization(organization_id: str) -> int:
    """Delete the webhooks of an organization, first, so that nothing new is owed; returns how many there were."""
    with listening.changing(organization_id):
        return int(Webhook.objects(organization_id=ObjectId(organization_id)).delete())


def deliveries_of_organization(organization_id: str) -> Iterator[int]:
    """Delete all deliveries of an organization; gives how many each batch was, at last none."""
    yield from _delete({"organization_id": ObjectId(organization_id)})


def deliveries_of(webhook_id: str) -> Iterator[int]:
    """Delete the deliveries of a webhook that is no more; gives how many each batch was, at last none."""
    yield from _delete({"webhook_id": ObjectId(webhook_id)})


def _delete(chosen: dict[str, Any]) -> Iterator[int]:
    while True:
        batch = [row["_id"] for row in deliveries.rows().find(chosen, {"_id": 1}).limit(BATCH)]
        yield deliveries.rows().delete_many({"_id": {"$in": batch}}).deleted_count if batch else 0
        if not batch:
            return
