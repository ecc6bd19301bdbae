"""A log as JSON; `LogSchema` documents the same object."""

from collections.abc import Mapping
from typing import Any

from devicehub.core import clock


def log(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stored log as the API shows it."""
    return {
        "id": str(row["_id"]),
        "deviceId": str(row["device_id"]),
        "event": row["event"],
        "level": row["level"],
        "value": row.get("value"),
        "message": row.get("message"),
        "metadata": row.get("metadata", {}),
        "sequence": row.get("sequence"),
        "timestamp": clock.rfc3339(row["at"]),
        "receivedAt": clock.rfc3339(row["received_at"]),
    }
