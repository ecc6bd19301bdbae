"""Who may change a device, and why somebody may not."""

from typing import Any

from bson import ObjectId

from devicehub.core import ids
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError, PreconditionFailed
from devicehub.devices.errors import DeviceNotFound, DeviceNotYours
from devicehub.devices.models import Device


def parsed(device_id: str) -> ObjectId:
    """The id that `device_id` spells; raises DeviceNotFound."""
    wanted = ids.parse(device_id)
    if wanted is None:
        raise DeviceNotFound(device_id=device_id)
    return wanted


def changeable(actor: Actor, device_id: str, revision: int | None = None) -> Any:
    """The device if the caller may change it (their own; an admin any) and it is still at `revision`."""
    mine = Device.objects.visible_to(actor).filter(id=parsed(device_id))
    if not actor.is_at_least("admin"):
        mine = mine.filter(owner_id=ObjectId(actor.user_id))
    return mine if revision is None else mine.filter(revision=revision)


def refusal(actor: Actor, device_id: str) -> DeviceHubError:
    """Why there was nothing that the caller could change."""
    device = Device.objects.visible_to(actor).filter(id=parsed(device_id)).only("owner_id").first()
    if device is None:
        return DeviceNotFound(device_id=device_id)
    if not actor.is_at_least("admin") and str(device.owner_id) != actor.user_id:
        return DeviceNotYours()
    return PreconditionFailed()


def demand(actor: Actor, device_id: str) -> ObjectId:
    """The id of a device that the caller may change; raises DeviceNotFound or DeviceNotYours."""
    if changeable(actor, device_id).only("id").first() is None:
        raise refusal(actor, device_id)
    return parsed(device_id)
