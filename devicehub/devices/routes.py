"""Devices: the doors."""

from typing import Any

import orjson
from bson import ObjectId
from flask import Response, url_for
from flask.views import MethodView
from marshmallow import ValidationError

from devicehub.auth.errors import TooManyKeys
from devicehub.core.errors import Busy, DeviceHubError, InvalidInput, UriTooLong
from devicehub.devices import heartbeats, history, keys, schemas, views
from devicehub.devices import service as devices
from devicehub.devices.errors import (
    DeviceKeyNotFound,
    DeviceNotFound,
    DeviceNotYours,
    DuplicateSerialNumber,
    KeysMakeNoKeys,
)
from devicehub.web import conditional, idempotency
from devicehub.web.blueprint import Blueprint
from devicehub.web.errors import problem_of
from devicehub.web.identity import current_actor
from devicehub.web.pagination import cursor_list, take_cursor, take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import CursorQuerySchema, PageQuerySchema

blp = Blueprint("devices", __name__, url_prefix="/api/devices", description="Devices and their signs of life.")

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where the new device is."}}
_new_device = schemas.NewDeviceSchema()
_heartbeat = schemas.DeviceHeartbeatSchema()


@blp.route("")
class Devices(MethodView):
    @blp.guard(limit="device", scope="devices:read")
    @blp.arguments(schemas.DeviceQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.DeviceListSchema)
    @blp.raises(UriTooLong)
    def get(self, query: dict[str, Any]) -> Response:
        """List devices"""
        page = take_page(query)
        found = devices.find(current_actor(), query, page, fresh=conditional.wants_fresh())
        return conditional.answer(found)

    @blp.guard("operator", limit="device", scope="devices:write")
    @blp.arguments(schemas.NewDeviceSchema)
    @idempotency.accepted
    @blp.response(201, schemas.DeviceSchema, headers=_LOCATION)
    @blp.raises(DuplicateSerialNumber)
    def post(self, fields: dict[str, Any]) -> Any:
        """Register a device"""
        made = devices.create(current_actor(), fields, device_id=idempotency.derived_id())
        return json_response(made, 201, {"Location": url_for("devices.DeviceById", device_id=made["id"])})


@blp.route("/batch")
class DeviceBatch(MethodView):
    @blp.guard("operator", limit="device", scope="devices:write")
    @blp.arguments(schemas.NewDevicesSchema)
    @idempotency.accepted
    @blp.response(200, schemas.BatchResultSchema)
    @blp.raises(KeysMakeNoKeys, Busy)
    def post(self, batch: dict[str, Any]) -> Any:
        """Register up to 500 devices

        Each is judged by itself; the answer tells of each what became of it. With `issueKeys` each new device gets
        its `key` with it, told this once: an answer that is replayed under its `Idempotency-Key` has none.
        """
        if batch["issue_keys"]:
            keys.refuse_keys(current_actor())
        items = _register(batch["devices"])
        answer = _result(items)
        if batch["issue_keys"]:
            idempotency.keep_instead(answer)
            answer = _result(_with_keys(items))
        return answer


@blp.route("/<id:device_id>")
class DeviceById(MethodView):
    @blp.guard(limit="device", scope="devices:read", devices=True)
    @conditional.documented
    @blp.response(200, schemas.DeviceSchema)
    @blp.raises(DeviceNotFound)
    def get(self, device_id: str) -> Response:
        """Read a device"""
        found = devices.read(current_actor(), device_id, fresh=conditional.wants_fresh())
        tag = conditional.etag(found.revision, found.cached.payload)
        # Beats and silence may follow each other within the second that a date tells.
        return conditional.answer(
            found.cached, tag=tag, modified_at=found.modified_at, is_dated=not found.is_alive
        )

    @blp.guard("operator", limit="device", scope="devices:write")
    @blp.arguments(schemas.DevicePatchSchema, required=False)
    @conditional.matched
    @blp.response(200, schemas.DeviceSchema)
    @blp.raises(DeviceNotFound, DeviceNotYours, DuplicateSerialNumber)
    def patch(self, changes: dict[str, Any], device_id: str) -> Any:
        """Change a device's configuration"""
        seen = conditional.expected_revision()
        device, revision = devices.update(current_actor(), device_id, changes, revision=seen)
        return conditional.changed(orjson.dumps(device), revision)

    @blp.guard("operator", limit="device", scope="devices:write")
    @conditional.matched
    @blp.response(204)
    @blp.raises(DeviceNotFound, DeviceNotYours, Busy)
    def delete(self, device_id: str) -> None:
        """Delete a device"""
        devices.delete(current_actor(), device_id, revision=conditional.expected_revision())


@blp.route("/<id:device_id>/heartbeat")
class Heartbeat(MethodView):
    @blp.guard("operator", limit="ingest", scope="heartbeats:write", devices=True)
    @blp.arguments(schemas.HeartbeatSchema, required=False)
    @blp.response(200, schemas.HeartbeatResultSchema)
    @blp.raises(DeviceNotFound)
    def post(self, told: dict[str, Any], device_id: str) -> Any:
        """Tell that a device lives"""
        return json_response(views.beat(heartbeats.beat(current_actor(), device_id, told)), 200)


@blp.route("/heartbeats")
class Heartbeats(MethodView):
    @blp.guard("operator", limit="ingest", scope="heartbeats:write", devices=True)
    @blp.arguments(schemas.HeartbeatsSchema)
    @blp.response(200, schemas.HeartbeatsResultSchema)
    def post(self, batch: dict[str, Any]) -> Any:
        """Tell that up to 500 devices live

        For a gateway. Each is judged by itself; the answer tells of each what came of it.
        """
        outcomes: dict[int, Any] = {}
        sound: dict[int, tuple[str, dict[str, Any]]] = {}
        for index, raw in enumerate(batch["heartbeats"]):
            try:
                told = _heartbeat.load(raw)
                sound[index] = told.pop("device_id"), told
            except ValidationError as error:
                outcomes[index] = InvalidInput(errors=_by_field(error))
        outcomes |= zip(sound, heartbeats.beat_all(current_actor(), list(sound.values())), strict=True)
        items = [_heard(index, outcomes[index]) for index in sorted(outcomes)]
        accepted = sum(item["status"] == 200 for item in items)
        return json_response({"accepted": accepted, "rejected": len(items) - accepted, "items": items}, 200)


@blp.route("/<id:device_id>/presence")
class Presence(MethodView):
    @blp.guard(limit="device", scope="devices:read")
    @blp.response(200, schemas.PresenceSchema)
    @blp.raises(DeviceNotFound)
    def get(self, device_id: str) -> dict[str, Any]:
        """Explain a device's presence"""
        return history.explain(current_actor(), device_id)


@blp.route("/<id:device_id>/presence/history")
class PresenceHistory(MethodView):
    @blp.guard(limit="device", scope="devices:read")
    @blp.arguments(CursorQuerySchema, location="query")
    @blp.response(200, schemas.PresenceChangeListSchema)
    @blp.raises(DeviceNotFound)
    def get(self, query: dict[str, Any], device_id: str) -> dict[str, Any]:
        """List the changes of a device's presence

        Newest first, of the last 90 days.
        """
        of = ("presence", device_id)
        return cursor_list(history.find(current_actor(), device_id, take_cursor(query, *of)), *of)


@blp.route("/<id:device_id>/presence/availability")
class PresenceAvailability(MethodView):
    @blp.guard(limit="device", scope="devices:read")
    @blp.arguments(schemas.AvailabilityQuerySchema, location="query")
    @blp.response(200, schemas.AvailabilitySchema)
    @blp.raises(DeviceNotFound)
    def get(self, query: dict[str, Any], device_id: str) -> history.Availability:
        """Tell how long a device was online

        Exactly, from the changes of its presence.
        """
        return history.availability(current_actor(), device_id, query["range"])


@blp.route("/<id:device_id>/keys")
class DeviceKeys(MethodView):
    @blp.guard("operator", limit="device")
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.DeviceKeyListSchema)
    @blp.raises(DeviceNotFound, DeviceNotYours)
    def get(self, query: dict[str, Any], device_id: str) -> Any:
        """List a device's keys

        Those that live, newest first, without their secrets.
        """
        page = take_page(query)
        found, total = keys.find(current_actor(), device_id, page)
        items = schemas.DeviceKeySchema(many=True).dump(found)
        return json_response({"items": items, "pagination": page.describe(total)})

    @blp.guard("operator", limit="device")
    @blp.response(201, schemas.NewDeviceKeySchema)
    @blp.raises(DeviceNotFound, DeviceNotYours, TooManyKeys, Busy)
    def post(self, device_id: str) -> Any:
        """Make a key for a device

        `key` is told this once. A device sends it as `Authorization: Bearer dhd_...`. Three may live at a time,
        so that a new one can be brought to the device before the old one is revoked.
        """
        made, text = keys.create(current_actor(), device_id)
        return json_response(schemas.DeviceKeySchema().dump(made) | {"key": text}, 201)


@blp.route("/<id:device_id>/keys/<id:key_id>")
class DeviceKeyById(MethodView):
    @blp.guard("operator", limit="device")
    @blp.response(204)
    @blp.raises(DeviceNotFound, DeviceNotYours, DeviceKeyNotFound, Busy)
    def delete(self, device_id: str, key_id: str) -> None:
        """Revoke a device's key

        It is refused from this moment on.
        """
        keys.revoke(current_actor(), device_id, key_id)


def _register(many: list[Any]) -> list[dict[str, Any]]:
    """What became of each device of a batch."""
    outcomes: dict[int, Any] = {}
    sound: dict[int, dict[str, Any]] = {}
    for index, raw in enumerate(many):
        try:
            sound[index] = _new_device.load(raw)
        except ValidationError as error:
            outcomes[index] = InvalidInput(errors=_by_field(error))
    new_ids = [idempotency.derived_id(index) or ObjectId() for index in sound]
    if sound:
        made = devices.create_many(current_actor(), list(sound.values()), device_ids=new_ids)
        outcomes |= zip(sound, made, strict=True)
    return [_item(index, outcomes[index]) for index in sorted(outcomes)]


def _with_keys(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    made = keys.create_many(current_actor(), [item["device"]["id"] for item in items if "device" in item])
    told = {device_id: {"key": text} for device_id, text in made.items()}
    return [item | told.get(item["device"]["id"], {}) if "device" in item else item for item in items]


def _result(items: list[dict[str, Any]]) -> Response:
    created = sum(item["status"] == 201 for item in items)
    return json_response({"created": created, "failed": len(items) - created, "items": items})


def _item(index: int, outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, DeviceHubError):
        return {"index": index, "status": outcome.status, "error": problem_of(outcome)}
    return {"index": index, "status": 201, "device": outcome}


def _heard(index: int, outcome: heartbeats.Outcome) -> dict[str, Any]:
    if isinstance(outcome, DeviceHubError):
        return _item(index, outcome)
    return {"index": index, "status": 200, "heartbeat": views.beat(outcome)}


def _by_field(error: ValidationError) -> dict[str, Any]:
    messages = error.messages
    return messages if isinstance(messages, dict) else {"_schema": messages}
