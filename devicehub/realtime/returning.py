"""A socket that comes back: it is told what it missed, while what happens meanwhile is held for it."""

import threading

from devicehub.core.redis import RedisAway
from devicehub.extensions import socketio
from devicehub.realtime import replay, rooms, transport, wire
from devicehub.realtime.hub import Absence, ours
from devicehub.realtime.log import Entry, NotKept


def note(sid: str, organization_id: str, seen: object) -> None:
    """Remember that a socket saw an organization up to `seen`, if it said so, and whether that leads anywhere."""
    hub = ours()
    if seen is None or seen == "" or organization_id in hub.connections[sid].absences:
        return
    refusal = replay.refusal(hub.events, hub.reader, organization_id, seen)
    hub.connections[sid].absences[organization_id] = Absence(str(seen), None, refusal)


def stand(sid: str, organization_id: str) -> str | None:
    """Let a socket hear from this moment on, or have it held until it was told what it missed; from where on."""
    hub = ours()
    head = hub.reader.head(organization_id)
    connection = hub.connections.get(sid)
    absence = connection.absences.get(organization_id) if connection is not None else None
    if absence is not None and head is None:
        absence.refusal = "unavailable"
    if connection is None or absence is None or absence.refusal:
        rooms.enter(sid, organization_id)
        return head
    if absence.upto is None:
        absence.upto = head
        hub.returning[organization_id][sid] = connection
        for one, audience in connection.audiences:
            if one == organization_id:
                socketio.server.leave_room(sid, wire.room(organization_id, audience))
    return absence.seen


def catch_up(sid: str, organization_id: str) -> None:
    """Tell a socket what it missed, if it asked for that; in the background, for the client may read slowly."""
    connection = ours().connections.get(sid)
    absence = connection.absences.get(organization_id) if connection is not None else None
    if connection is None or absence is None:
        return
    if absence.refusal is not None:
        del connection.absences[organization_id]
        _tell_resync(sid, organization_id, absence.refusal, ours().reader.head(organization_id))
    elif not absence.is_being_told:
        absence.is_being_told = True
        threading.Thread(target=_catch_up, args=(sid, organization_id, absence), daemon=True).start()


def _catch_up(sid: str, organization_id: str, absence: Absence) -> None:
    hub = ours()
    connection = hub.connections.get(sid)
    if connection is None or absence.upto is None:
        return

    def hears(entry: Entry) -> bool:
        return bool(entry.event) and connection.hears(organization_id, entry)

    try:
        for entries in replay.missed(hub.events, organization_id, absence.seen, absence.upto, hears):
            for entry in entries:
                if not transport.wait_for_room(sid):
                    transport.hang_up(sid)
                    return
                if hears(entry):
                    rooms.tell(sid, entry.event, wire.payload_of(entry))
    except (NotKept, RedisAway) as error:
        reason = "not_kept" if isinstance(error, NotKept) else "unavailable"
        _tell_resync(sid, organization_id, reason, absence.upto)
    with hub.reader.lock:
        if hub.connections.get(sid) is not connection:
            return
        for entry in filter(hears, absence.held):
            rooms.tell(sid, entry.event, wire.payload_of(entry))
        del connection.absences[organization_id]
        hub.has_returned(sid, organization_id)
        rooms.enter(sid, organization_id)


def _tell_resync(sid: str, organization_id: str, reason: str, last_event_id: str | None) -> None:
    told = {"organizationId": organization_id, "reason": reason, "lastEventId": last_event_id}
    rooms.tell(sid, "resync-required", told)
