"""Devices: registering, reading, changing and deleting them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from bson import ObjectId
from mongoengine.errors import NotUniqueError
from pymongo.errors import BulkWriteError

from devicehub.audit import service as audit
from devicehub.core import cache, clock, config, crypto, ids, live
from devicehub.core.actor import Actor
from devicehub.core.cache import Cached
from devicehub.core.documents import seen_by
from devicehub.core.errors import DatabaseUnavailable, DeviceHubError
from devicehub.core.events import emit
from devicehub.core.live import Value
from devicehub.core.paging import Page
from devicehub.devices import access, keys, views
from devicehub.devices.errors import DeviceNotFound, DuplicateSerialNumber
from devicehub.devices.models import Device

NOUN = "devices"
DEFAULT_INTERVAL_S = 60
_SORT_FIELDS = {"name": "name_key", "createdAt": "created_at", "lastActiveAt": "last_active_at"}
_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Found:
    """One device as JSON bytes, and what its validators are made of; `is_alive` once it was heard of."""

    cached: Cached
    revision: int
    modified_at: datetime
    is_alive: bool


def find(actor: Actor, query: Mapping[str, Any], page: Page, *, fresh: bool = False) -> Cached:
    """A page of the caller's organization's devices as JSON bytes, cached; live fields are never stale.

    `fresh` neither reads nor stores the cache; an order by last activity changes with every beat and is
    never cached.
    """
    key = crypto.digest(orjson.dumps([query, page.number, page.limit], option=orjson.OPT_SORT_KEYS))
    found = cache.current().fetch(
        actor.organization_id,
        NOUN,
        key,
        ttl=config.current().cache_devices_ttl,
        compute=lambda: _page(actor, query, page),
        bypass=fresh or query["sort"].endswith("lastActiveAt"),
    )
    pagination, *rows = found.payload.split(b"\n")
    items = b",".join(_with_live(actor, rows, fresh=found.status == "BYPASS"))
    return Cached(b'{"items":[%s],"pagination":%s}' % (items, pagination), found.status, found.age)


def _page(actor: Actor, query: Mapping[str, Any], page: Page) -> bytes:
    chosen = Device.objects.visible_to(actor).filter(__raw__=_conditions(query))
    sign, name = ("-", query["sort"][1:]) if query["sort"].startswith("-") else ("+", query["sort"])
    rows = chosen.order_by(sign + _SORT_FIELDS[name], sign + "id").skip(page.skip).limit(page.limit).as_pymongo()
    parts = [page.describe(chosen.count()), *(views.settled(row) for row in rows)]
    return b"\n".join(orjson.dumps(part) for part in parts)


def _conditions(query: Mapping[str, Any]) -> dict[str, Any]:
    conditions: dict[str, Any] = {name: query[name] for name in ("type", "status", "presence") if name in query}
    if query.get("tag"):
        conditions["tags"] = {"$all": query["tag"]}
    if "owner_id" in query:
        conditions["owner_id"] = ids.parse(query["owner_id"]) or {"$in": []}
    if query.get("search"):
        literal = re.escape(query["search"].casefold())
        conditions["$or"] = [{"name_key": {"$regex": literal}}, {"serial_key": {"$regex": literal}}]
    return conditions


def _with_live(actor: Actor, rows: list[bytes], *, fresh: bool) -> Iterable[bytes]:
    values = live.current().read(
        actor.organization_id,
        [views.id_of(row) for row in rows],
        lambda wanted: live_values(actor, wanted),
        fresh=fresh,
    )
    return (views.join(row, values[device_id]) for row in rows if (device_id := views.id_of(row)) in values)


def live_values(actor: Actor, device_ids: Iterable[str]) -> dict[str, Value]:
    """MongoDB's word on the live part of these devices."""
    wanted = [ObjectId(device_id) for device_id in device_ids]
    rows = Device.objects.visible_to(actor).filter(id__in=wanted).as_pymongo()
    return {str(row["_id"]): views.live_value(row) for row in rows}


def read(actor: Actor, device_id: str, *, fresh: bool = False) -> Found:
    """One device as JSON bytes, cached; raises DeviceNotFound."""

    def compute() -> bytes:
        row = row_of(actor, device_id)
        changed = (
            row["updated_at"],
            row.get("presence_since"),
            row.get("status_since"),
        )  # silence changes it, too
        moment = max(filter(None, changed)).timestamp()
        return b"%d\n%.3f\n%s" % (row["revision"], moment, orjson.dumps(views.settled(row)))

    found = cache.current().fetch(
        actor.organization_id,
        NOUN,
        f"one:{access.parsed(device_id)}",
        ttl=config.current().cache_devices_ttl,
        compute=compute,
        bypass=fresh,
    )
    revision, updated_at, settled = found.payload.split(b"\n")
    whole = list(_with_live(actor, [settled], fresh=found.status == "BYPASS"))
    if not whole:
        raise DeviceNotFound(device_id=device_id)
    last_active_at = orjson.loads(whole[0])["lastActiveAt"]
    moments = [float(updated_at)]
    if last_active_at:
        moments.append(datetime.fromisoformat(last_active_at).timestamp())
    return Found(
        Cached(whole[0], found.status, found.age),
        int(revision),
        datetime.fromtimestamp(max(moments), UTC),
        is_alive=last_active_at is not None,
    )


def row_of(actor: Actor, device_id: str) -> dict[str, Any]:
    """The stored device, uncached; raises DeviceNotFound."""
    chosen = {"$and": [seen_by(actor, Device), {"_id": access.parsed(device_id)}]}
    row: dict[str, Any] | None = Device._get_collection().find_one(chosen)  # half of what MongoEngine takes
    if row is None:
        raise DeviceNotFound(device_id=device_id)
    return row


def get(actor: Actor, device_id: str) -> dict[str, Any]:
    """One device as the API shows it, uncached; raises DeviceNotFound."""
    return views.whole(row_of(actor, device_id))


def create(actor: Actor, fields: Mapping[str, Any], *, device_id: ObjectId | None = None) -> dict[str, Any]:
    """Register one device; raises DuplicateSerialNumber.

    `device_id` is given when the same request may come twice: the second finds what the first made.
    """
    [made] = create_many(actor, [fields], device_ids=[device_id or ObjectId()])
    if isinstance(made, DeviceHubError):
        raise made
    return made


def create_many(
    actor: Actor, many: list[Mapping[str, Any]], *, device_ids: list[ObjectId]
) -> list[dict[str, Any] | DeviceHubError]:
    """Register many devices; for each what was made of it, or why not. One that fails keeps no other out."""
    moment = clock.now()
    rows = [_new_row(actor, one, device_id, moment) for one, device_id in zip(many, device_ids, strict=True)]
    with cache.current().writing(actor.organization_id, NOUN):
        failures = _insert(rows)
    made: list[dict[str, Any] | DeviceHubError] = [views.whole(row) for row in rows]
    for index, failure in failures.items():
        is_there = "_id" in failure["keyPattern"]  # made by the first of two that are the same
        made[index] = _found(actor, rows[index]["_id"]) if is_there else DuplicateSerialNumber()
    with audit.gathered():
        for one in made:
            if not isinstance(one, DeviceHubError):  # again, for one that is there: who made it may have died
                _tell("device.created", actor, one, changes={})
    return made


def _insert(rows: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Write new devices; returns MongoDB's word on each that is a duplicate, by its index."""
    try:
        Device._get_collection().insert_many(rows, ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:  # written, but it may be lost yet
            raise DatabaseUnavailable() from error
        failures = error.details["writeErrors"]
        if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
            raise
        return {failure["index"]: failure for failure in failures}
    return {}


def _found(actor: Actor, device_id: ObjectId) -> dict[str, Any] | DeviceHubError:
    try:
        return get(actor, str(device_id))
    except DeviceNotFound as error:  # it was made, and deleted since
        return error


def _new_row(actor: Actor, fields: Mapping[str, Any], device_id: ObjectId, moment: datetime) -> dict[str, Any]:
    set_by = "person" if "heartbeat_interval" in fields else "default"
    device = Device(
        id=device_id,
        organization_id=ObjectId(actor.organization_id),
        owner_id=ObjectId(actor.user_id),
        presence="never_seen",
        created_at=moment,
        updated_at=moment,
        interval_set_by=set_by,
        **{"heartbeat_interval": DEFAULT_INTERVAL_S} | _stored(fields),
    )
    row: dict[str, Any] = device.to_mongo().to_dict()
    return {"tags": [], "metadata": {}, "metrics": {}} | row


def _stored(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored for these fields: themselves, and the folded forms of what is sorted and searched by."""
    stored = dict(fields)
    if "name" in fields:
        stored["name_key"] = fields["name"].casefold()
    if "serial_number" in fields:
        stored["serial_key"] = (fields["serial_number"] or "").casefold() or None
    return stored


def update(
    actor: Actor, device_id: str, changes: Mapping[str, Any], *, revision: int | None = None
) -> tuple[dict[str, Any], int]:
    """Change a device's configuration, if `revision` is still its own where one is given; no change is none.

    Returns the device as it is then, and its revision. Raises DeviceNotFound, DeviceNotYours, PreconditionFailed
    or DuplicateSerialNumber.
    """
    if not changes:
        row = access.changeable(actor, device_id, revision).as_pymongo().first()
        if row is None:
            raise access.refusal(actor, device_id)
        return views.whole(row), row["revision"]
    moment = clock.now()
    stored = _stored(changes) | {"updated_at": moment}
    if "status" in changes:
        stored |= {"status_by": "person", "status_since": moment}
    if "heartbeat_interval" in changes:
        stored["interval_set_by"] = "person"
    if changes.keys() & {"status", "heartbeat_interval"}:
        stored["due_at"] = moment  # what silence makes of it is another question now: the sweeper answers it
    with cache.current().writing(actor.organization_id, NOUN):
        try:
            row = access.changeable(actor, device_id, revision).modify(
                new=True, __raw__={"$set": stored, "$inc": {"revision": 1, "sequence": 1}}
            )
        except NotUniqueError as error:
            raise DuplicateSerialNumber() from error
    if row is None:
        raise access.refusal(actor, device_id)
    device = views.whole(row.to_mongo().to_dict())
    told = {shown: device[shown] for name, shown in views.SHOWN.items() if name in changes}
    _tell("device.updated", actor, device, changes=told)
    return device, row.revision


def delete(actor: Actor, device_id: str, *, revision: int | None = None) -> None:
    """Delete a device; its keys are dead at once. Raises DeviceNotFound, DeviceNotYours or PreconditionFailed."""
    before = views.settled(row_of(actor, device_id))
    gone = {name: before[name] for name in ("name", "type", "serialNumber", "ownerId")}
    with audit.intended(actor, "device.deleted", target=before["id"], changes=gone):
        with cache.current().writing(actor.organization_id, NOUN):
            row = access.changeable(actor, device_id, revision).modify(remove=True)
        if row is None:
            raise access.refusal(actor, device_id)
        keys.end_all(actor, device_id)
        live.current().forget(actor.organization_id, device_id)
        device = views.whole(row.to_mongo().to_dict())
        _tell("device.deleted", actor, device, changes={"deleted": True})


def _tell(name: str, actor: Actor, device: Mapping[str, Any], *, changes: Mapping[str, Any]) -> None:
    emit(
        name,
        actor,
        device_id=device["id"],
        organization_id=device["organizationId"],
        status=device["status"],
        presence=device["presence"],
        changes=dict(changes),
    )
