"""Jobs that were given up: what is kept of an error, and telling of it once."""

from collections.abc import Mapping
from typing import Any

from devicehub.core import clock, events
from devicehub.core.errors import DeviceHubError
from devicehub.core.events import Event
from devicehub.jobs import askers, claims
from devicehub.jobs.errors import TimedOut


def redacted(error: BaseException) -> dict[str, str]:
    """What is stored of an error: its type and our code for it. Its message and stack are in the log only."""
    code = error.code if isinstance(error, DeviceHubError | TimedOut) else "INTERNAL_ERROR"
    return {"type": type(error).__name__, "code": code}


def tell(row: Mapping[str, Any]) -> None:
    """Emit `job.failed`, and note that it was; whoever is killed in between leaves it to the sweeper.

    The event has the same id then, that of the last attempt, so that what follows from it follows once.
    """
    job_id, last_attempt = str(row["_id"]), clock.rfc3339(row["started_at"])
    facts = {"job_id": job_id, "name": row["name"]}
    told = Event("job.failed", askers.teller(row), facts, id=f"job.failed:{job_id}:{last_attempt}")
    events.tell(told)
    claims.jobs().update_one({"_id": row["_id"], "untold": True}, {"$unset": {"untold": ""}})
