"""A device as JSON: the part that only configuration changes, and the live part that every beat changes.

`DeviceSchema` documents the same object; a test proves that both say the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from devicehub.core import clock
from devicehub.core.live import Value

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat is answered with."""

    device_id: str
    status: str
    presence: str
    last_active_at: datetime
    server_time: datetime
    next_heartbeat_in: int


# Stored name -> shown name, of what a person may change.
SHOWN = {
    "name": "name",
    "type": "type",
    "status": "status",
    "serial_number": "serialNumber",
    "location": "location",
    "tags": "tags",
    "metadata": "metadata",
    "heartbeat_interval": "heartbeatInterval",
}


def _time(moment: datetime | None) -> str | None:
    return clock.rfc3339(moment) if moment is not None else None


def settled(row: Row) -> dict[str, Any]:
    """What a heartbeat that changes nothing leaves as it is."""
    return {
        "id": str(row["_id"]),
        "organizationId": str(row["organization_id"]),
        "ownerId": str(row["owner_id"]),
        "name": row["name"],
        "type": row["type"],
        "status": row["status"],
        "heartbeatInterval": row["heartbeat_interval"],
        "serialNumber": row.get("serial_number"),
        "location": row.get("location"),
        "tags": row.get("tags", []),
        "metadata": row.get("metadata", {}),
        "firmwareVersion": row.get("firmware_version"),
        "createdAt": _time(row["created_at"]),
        "updatedAt": _time(row["updated_at"]),
    }


def live(row: Row) -> dict[str, Any]:
    """What every heartbeat changes."""
    return {
        "presence": row["presence"],
        "lastActiveAt": _time(row.get("last_active_at")),
        "metrics": row.get("metrics", {}),
    }


def whole(row: Row) -> dict[str, Any]:
    """The whole device."""
    return settled(row) | live(row)


def live_value(row: Row) -> Value:
    """The live part as bytes, under the number of the change that made it."""
    return int(row["sequence"]), orjson.dumps(live(row))  # BSON has integers of its own, that Redis does not know


def beat(heard: Beat) -> dict[str, Any]:
    """The answer to a heartbeat; `HeartbeatResultSchema` documents the same, and takes longer."""
    return {
        "deviceId": heard.device_id,
        "status": heard.status,
        "presence": heard.presence,
        "lastActiveAt": _time(heard.last_active_at),
        "serverTime": _time(heard.server_time),
        "nextHeartbeatIn": heard.next_heartbeat_in,
    }


def join(settled_part: bytes, live_part: bytes) -> bytes:
    """Two JSON objects as one, without reading either."""
    return settled_part[:-1] + b"," + live_part[1:]


def id_of(settled_part: bytes) -> str:
    """The id at the head of a settled part."""
    return settled_part[7:31].decode()
