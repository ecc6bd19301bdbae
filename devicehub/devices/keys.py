"""Device keys: what a device comes with. Three may live at a time, so that an old and a new one overlap."""

from collections.abc import Iterable, Sequence
from typing import Any

from bson import ObjectId
from pymongo.errors import BulkWriteError

from devicehub.audit import service as audit
from devicehub.auth import keys, uses
from devicehub.auth.keys import Kind
from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable, DeviceHubError
from devicehub.core.events import emit
from devicehub.core.paging import Page
from devicehub.core.remembered import State
from devicehub.devices import access
from devicehub.devices.errors import DeviceKeyNotFound, DeviceNotFound, KeysMakeNoKeys
from devicehub.devices.models import Device, DeviceKey

MOST = 3
_DUPLICATE_KEY = 11000
KIND = Kind(DeviceKey, lambda row: {"device": str(row["device_id"]), "organization": str(row["organization_id"])})


def find(actor: Actor, device_id: str, page: Page) -> tuple[list[DeviceKey], int]:
    """A page of a device's live keys, newest first, and how many there are; raises as `create` does."""
    live = _live(actor, access.demand(actor, device_id))
    return list(live.order_by("-created_at", "-id").skip(page.skip).limit(page.limit)), live.count()


def create(actor: Actor, device_id: str) -> tuple[DeviceKey, str]:
    """Make a key of a device: it, and its text, which is told this once.

    Raises DeviceNotFound, DeviceNotYours or TooManyKeys.
    """
    wanted = access.demand(actor, device_id)
    key, text = _new(actor, wanted)
    with audit.intended(actor, "device_key.created", target=str(key.id), changes={"device_id": str(wanted)}):
        keys.insert(key, among={"organization_id": key.organization_id, "device_id": wanted}, most=MOST)
        if Device.objects.visible_to(actor).filter(id=wanted).only("id").first() is None:
            key.delete()  # the device was deleted meanwhile, and its other keys with it
            raise DeviceNotFound(device_id=device_id)
        _tell("device_key.created", actor, key.id, wanted)
    return key, text


def create_many(actor: Actor, device_ids: Iterable[str]) -> dict[str, str]:
    """Make a key of each of these devices, which the caller has just made: their texts by device.

    One that has three already, because the same request was begun before and heard by nobody, gets none.
    """
    wanted = [ObjectId(device_id) for device_id in device_ids]
    free = _free(actor, wanted)
    new = [_new(actor, device_id, slot=min(free[device_id])) for device_id in wanted if free[device_id]]
    with audit.intended(actor, "device_key.created", changes={"devices": len(new)}):
        lost = _insert([key for key, _ in new])
        made = [one for index, one in enumerate(new) if index not in lost]
        for key, _ in made:
            _tell("device_key.created", actor, key.id, key.device_id)
    return {str(key.device_id): text for key, text in made}


def _free(actor: Actor, device_ids: list[ObjectId]) -> dict[ObjectId, set[int]]:
    """The places for keys that each of these devices has left."""
    free = {device_id: set(range(MOST)) for device_id in device_ids}
    taken = DeviceKey.objects.visible_to(actor).filter(device_id__in=device_ids, slot__exists=True)
    for device_id, slot in taken.scalar("device_id", "slot"):
        free[device_id].discard(slot)
    return free


def _insert(new: list[DeviceKey]) -> set[int]:
    """Write keys; returns which of them, by index, lost their place to another at the last moment."""
    try:
        if new:
            DeviceKey._get_collection().insert_many([key.to_mongo() for key in new], ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # written, but they may be lost yet
            raise DatabaseUnavailable() from error
        if any(failure["code"] != _DUPLICATE_KEY for failure in error.details["writeErrors"]):
            raise
        return {failure["index"] for failure in error.details["writeErrors"]}
    return set()


def revoke(actor: Actor, device_id: str, key_id: str) -> None:
    """End a key of a device at once; raises DeviceNotFound, DeviceNotYours or DeviceKeyNotFound."""
    live, wanted = _live(actor, access.demand(actor, device_id)), ids.parse(key_id)
    if wanted is None or live.filter(id=wanted).first() is None:
        raise DeviceKeyNotFound(key_id=key_id)
    with audit.intended(actor, "device_key.revoked", target=key_id, changes={"device_id": device_id}):
        _end(actor, live.filter(id=wanted), device_id)


def end_all(actor: Actor, device_id: str) -> None:
    """End all keys of a device that is no more."""
    _end(actor, _live(actor, ObjectId(device_id)), device_id)


def purge(actor: Actor, device_id: str) -> int:
    """Remove the keys of a device that is no more; returns how many there were."""
    end_all(actor, device_id)  # again: whoever deleted it may have died before
    return int(DeviceKey.objects.visible_to(actor).filter(device_id=ObjectId(device_id)).delete())


def refuse_keys(actor: Actor) -> None:
    """Raise KeysMakeNoKeys unless the caller is a person."""
    if actor.kind != "user":
        raise KeysMakeNoKeys()


def identify(token: str) -> Actor:
    """The device that a key stands for; raises InvalidToken or KeyRevoked."""
    return _actor(*keys.prove(KIND, token))


def identify_all(tokens: Sequence[str]) -> list[Actor | DeviceHubError]:
    """What `identify` says of each of many keys, asked for together."""
    proofs = keys.prove_all(KIND, tokens)
    return [proof if isinstance(proof, DeviceHubError) else _actor(*proof) for proof in proofs]


def _actor(key_id: str, state: State) -> Actor:
    uses.note(DeviceKey, key_id)
    return Actor(
        user_id=state["device"],
        organization_id=state["organization"],
        role="operator",
        kind="device",
        device_id=state["device"],
        key_id=key_id,
    )


def _live(actor: Actor, device_id: ObjectId) -> Any:
    return DeviceKey.objects.visible_to(actor).filter(device_id=device_id, revoked_at=None)


def _new(actor: Actor, device_id: ObjectId, slot: int | None = None) -> tuple[DeviceKey, str]:
    made = keys.make(KIND)
    key = DeviceKey(
        id=made.id,
        hash=made.hash,
        slot=slot,
        organization_id=ObjectId(actor.organization_id),
        device_id=device_id,
        created_by=ObjectId(actor.user_id),
        created_at=clock.now(),
    )
    return key, made.text


def _end(actor: Actor, chosen: Any, device_id: str) -> None:
    for key_id in keys.end(KIND, chosen):
        _tell("device_key.revoked", actor, key_id, device_id)


def _tell(name: str, actor: Actor, key_id: ObjectId, device_id: ObjectId | str) -> None:
    emit(name, actor, key_id=str(key_id), device_id=str(device_id).lower())
