"""Which events are acts to be kept, and what of each: the audit trail as a sink of `emit`, the first of them.

What its service records itself is not here: what is privileged (`audit.intended`), and what was refused.
"""

from devicehub.audit import service as audit
from devicehub.core.events import Event

# Event: the fact that names its target, and the facts that are kept as its changes. Signs of life are no acts.
AUDITED: dict[str, tuple[str, tuple[str, ...]]] = {
    "session.opened": ("session_id", ()),
    "session.ended": ("session_id", ("reason",)),
    "token.revoked": ("token_id", ("session_id",)),
    "user.signed_up": ("user_id", ()),
    "device.created": ("device_id", ()),
    "device.updated": ("device_id", ("changes",)),
    "member.added": ("user_id", ("role",)),
    "report_schedule.created": ("schedule_id", ()),
    "report_schedule.updated": ("schedule_id", ("changes",)),
    "report_schedule.deleted": ("schedule_id", ()),
    "export.created": ("job_id", ("type", "format")),
    "export.downloaded": ("job_id", ("file_name",)),
    "export.deleted": ("job_id", ()),
}


def hear(event: Event) -> None:
    """Record an event that is an act; a sink of `emit`."""
    if event.name not in AUDITED:
        return
    target, kept = AUDITED[event.name]
    changes = {name: event.data[name] for name in kept if event.data.get(name) is not None}
    changes |= changes.pop("changes", {})
    audit.record(event.actor, event.name, target=str(event.data.get(target, "")), changes=changes)
