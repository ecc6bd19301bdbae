"""The audit trail: recording what was intended before it is done, and how it ended."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import structlog
from bson import ObjectId

from devicehub.audit import chain, redaction
from devicehub.audit.chain import Row
from devicehub.audit.models import AuditEntry
from devicehub.core import clock, ids, metrics, mongo
from devicehub.core.actor import Actor
from devicehub.core.errors import DatabaseUnavailable, DeviceHubError, Forbidden, InvalidDateRange
from devicehub.core.paging import After, Stretch

log = structlog.get_logger(__name__)

_gathering: ContextVar[list[Row] | None] = ContextVar("audit_gathering", default=None)


@contextmanager
def intended(
    actor: Actor, action: str, *, target: str = "", changes: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Surround a privileged write: the intent is recorded before it, its outcome after it.

    `action` is `noun.past_tense` (`member.role_changed`), `target` the id of what is changed. What cannot be
    recorded is not done: raises Busy or what a database that is away raises, before the block is entered.

    An intent that nothing completes means that the process died, or lost the database, before it could tell.
    """
    if not actor.organization_id:  # what happens in no organization is in no trail
        yield
        return
    intent = _draft(actor, action, target, changes, outcome="intended")
    [sequence] = chain.append(intent["organization_id"], [intent])
    try:
        yield
    except Exception as error:
        _write([_draft(actor, action, target, outcome="failed", error=_code(error), intent=sequence)])
        raise
    _write([_draft(actor, action, target, outcome="done", intent=sequence)])


def record(
    actor: Actor,
    action: str,
    *,
    target: str = "",
    outcome: Literal["done", "failed", "refused"] = "done",
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Append one entry about something that needs no intent: a sign-in, a refusal, a finished job.

    It has happened already, so what cannot be recorded is logged, and nothing is raised. What happens in no
    organization is in no trail.
    """
    if not actor.organization_id:
        return
    draft = _draft(actor, action, target, changes, outcome=outcome)
    gathered_so_far = _gathering.get()
    if gathered_so_far is None:
        _write([draft])
    else:
        gathered_so_far.append(draft)


@contextmanager
def gathered() -> Iterator[None]:
    """What is recorded inside the block is written at its end, together: for one act on many things."""
    drafts: list[Row] = []
    before = _gathering.set(drafts)
    try:
        yield
    finally:
        _gathering.reset(before)
        for organization_id in dict.fromkeys(draft["organization_id"] for draft in drafts):
            _write([draft for draft in drafts if draft["organization_id"] == organization_id])


def find(actor: Actor, query: Mapping[str, Any], after: After) -> Stretch[Row]:
    """Entries of the caller's organization, newest first.

    Raises Forbidden for whoever is not a person, and InvalidDateRange.
    """
    if actor.kind != "user":
        raise Forbidden()
    if "from" in query and "to" in query and query["from"] > query["to"]:
        raise InvalidDateRange(errors={"to": ["It lies before `from`."]})
    chosen = AuditEntry.objects.visible_to(actor).filter(__raw__=_conditions(query, after))
    rows = chosen.order_by("-sequence").limit(after.limit + 1).as_pymongo()
    return after.cut([_shown(row) for row in rows], lambda row: (row["sequence"],))


def _conditions(query: Mapping[str, Any], after: After) -> Row:
    conditions: Row = {}
    if after.position:
        conditions["sequence"] = {"$lt": after.position[0]}
    if "action" in query:
        conditions["action"] = query["action"]
    if "actor" in query:
        conditions["actor_id"] = ids.parse(query["actor"]) or {"$in": []}
    bounds = {"$gte": query.get("from"), "$lt": query.get("to")}
    if bounds := {operator: moment for operator, moment in bounds.items() if moment}:
        conditions["at"] = bounds
    return conditions


def _shown(row: Row) -> Row:
    """An entry as `AuditEntrySchema` shows it."""
    absent = dict.fromkeys(("target", "error", "intent", "actor_id", "ip", "request_id"))
    return {"changes": {}} | absent | row | {"id": row["_id"]}


def _draft(actor: Actor, action: str, target: str, changes: Mapping[str, Any] | None = None, **ending: Any) -> Row:
    """An entry without its place in the chain, and without what it has nothing to say of.

    Whoever signs in is nobody yet: then address and request are those that the log lines carry.
    """
    around = structlog.contextvars.get_contextvars()
    draft = {
        "organization_id": ObjectId(actor.organization_id),
        "at": clock.now(),
        "action": action,
        "target": target,
        "actor_id": ids.parse(actor.device_id or actor.user_id),
        "actor_kind": actor.kind,
        "ip": actor.ip or around.get("ip"),
        "request_id": actor.request_id or around.get("request_id"),
        "changes": redaction.redacted(changes or {}),
        **ending,
    }
    return {name: value for name, value in draft.items() if value not in (None, "", {})}


def _write(drafts: list[Row]) -> None:
    """Append what tells of something that has been done: it is not undone because it cannot be told."""
    try:
        chain.append(drafts[0]["organization_id"], drafts)
    except Exception as error:
        metrics.count_degraded("audit")
        for draft in drafts:
            lost = {name: value if isinstance(value, dict) else str(value) for name, value in draft.items()}
            log.error("audit.entry_lost", error=type(error).__name__, entry=lost)


def _code(error: Exception) -> str:
    if isinstance(error, DeviceHubError):
        return error.code
    return DatabaseUnavailable.code if mongo.is_outage(error) else DeviceHubError.code
