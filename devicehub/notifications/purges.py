"""Forgetting what people were told of an organization that is no more, or no more theirs; and its rules."""

from collections.abc import Iterator
from typing import Any

from bson import ObjectId

from devicehub.notifications.models import Box, Rule

BATCH = 100


def of_organization(organization_id: str) -> Iterator[int]:
    """Delete all notifications of an organization; gives how many each batch of people had, at last none."""
    of_it = {"items.organization_id": ObjectId(organization_id)}
    while True:
        batch = [row["_id"] for row in Box._get_collection().find(of_it, {"_id": 1}).limit(BATCH)]
        yield sum(_pull(user_id, organization_id) for user_id in batch)
        if not batch:
            return


def rules_of_organization(organization_id: str) -> None:
    """Delete its rule, and those of its devices."""
    Rule.objects(organization_id=ObjectId(organization_id)).delete()


def rule_of_device(device_id: str) -> None:
    """Delete what a deleted device had of its own."""
    Rule.objects(id=ObjectId(device_id)).delete()


def of_member(user_id: str, organization_id: str) -> int:
    """Delete the notifications of an organization that one user has; returns how many."""
    return _pull(ObjectId(user_id), organization_id)


def _pull(user_id: ObjectId, organization_id: str) -> int:
    of_it = {"organization_id": ObjectId(organization_id)}
    before: dict[str, Any] | None = Box._get_collection().find_one_and_update(
        {"_id": user_id}, {"$pull": {"items": of_it}}, projection={"items.organization_id": 1}
    )
    return (before or {}).get("items", []).count(of_it)
