"""Deleting the devices of an organization that is no more, a bounded number at a time."""

from collections.abc import Iterator

from bson import ObjectId

from devicehub.core import live
from devicehub.devices.models import Device

BATCH = 500


def of_organization(organization_id: str) -> Iterator[int]:
    """Delete batch after batch; gives how many each was, the last of them none or less than a whole one.

    Nobody can read what a cache still holds of them: that takes a membership.
    """
    owned = {"organization_id": ObjectId(organization_id)}
    devices = Device._get_collection()
    while True:
        batch = [row["_id"] for row in devices.find(owned, {"_id": 1}).limit(BATCH)]
        yield devices.delete_many({**owned, "_id": {"$in": batch}}).deleted_count
        if len(batch) < BATCH:
            break
    live.current().forget_all(organization_id)
