"""Deleting what is left of devices and organizations that are no more, a bounded number at a time."""

from collections.abc import Iterator, Mapping

from bson import ObjectId
from mongoengine import Document

from devicehub.auth import keys
from devicehub.core import live
from devicehub.devices.keys import KIND
from devicehub.devices.models import Device, DeviceKey, PresenceChange

BATCH = 500


def of_organization(organization_id: str) -> Iterator[int]:
    """Delete the devices of an organization; gives how many each batch was, the last less than a whole one.

    Nobody can read what a cache still holds of them: that takes a membership.
    """
    for batch in _batches(Device, {"organization_id": ObjectId(organization_id)}):
        yield _delete(Device, batch)
    live.current().forget_all(organization_id)


def keys_of_organization(organization_id: str) -> Iterator[int]:
    """Delete the keys of its devices likewise; each is refused from then on."""
    for batch in _batches(DeviceKey, {"organization_id": ObjectId(organization_id)}):
        deleted = _delete(DeviceKey, batch)
        keys.forget(KIND, batch)
        yield deleted


def history_of_organization(organization_id: str) -> Iterator[int]:
    """Delete what is kept of the presence of its devices likewise."""
    for batch in _batches(PresenceChange, {"organization_id": ObjectId(organization_id)}):
        yield _delete(PresenceChange, batch)


def history_of_device(organization_id: str, device_id: str) -> Iterator[int]:
    """Delete what is kept of the presence of one device likewise."""
    owner = {"organization_id": ObjectId(organization_id), "device_id": ObjectId(device_id)}
    for batch in _batches(PresenceChange, owner):
        yield _delete(PresenceChange, batch)


def _batches(document: type[Document], owner: Mapping[str, ObjectId]) -> Iterator[list[ObjectId]]:
    """The ids of what is there, until it is less than a whole batch: each is to be deleted before the next."""
    while True:
        batch = [row["_id"] for row in document._get_collection().find(owner, {"_id": 1}).limit(BATCH)]
        yield batch
        if len(batch) < BATCH:
            return


def _delete(document: type[Document], batch: list[ObjectId]) -> int:
    return int(document._get_collection().delete_many({"_id": {"$in": batch}}).deleted_count)
