"""One socket of this process: what it is told, and the rooms it is in."""

from typing import Any

from devicehub.extensions import socketio
from devicehub.realtime import wire
from devicehub.realtime.hub import ours


def tell(sid: str, event: str, payload: dict[str, Any]) -> None:
    """Send an event to one socket of this process."""
    socketio.server.emit(event, payload, to=sid, ignore_queue=True)


def follow(sid: str, organization_id: str, *audiences: str) -> None:
    """Hear these audiences of an organization for a socket, from `enter` on; waits until nothing can be missed."""
    reader = ours().reader
    with reader.lock:
        connection = ours().connections[sid]
        for audience in audiences:
            connection.audiences.add((organization_id, audience))
            reader.follow(organization_id, (sid, audience))
    reader.settle(organization_id)


def enter(sid: str, organization_id: str) -> None:
    """Put a socket into the rooms of its audiences, unless it went or is still to be told what it missed."""
    connection = ours().connections.get(sid)
    if connection is None or sid in ours().returning.get(organization_id, {}):
        return
    for one, audience in connection.audiences:
        if one == organization_id:
            socketio.server.enter_room(sid, wire.room(organization_id, audience))


def leave(sid: str, organization_id: str, audience: str) -> None:
    """Take a socket out of an audience."""
    hub = ours()
    with hub.reader.lock:
        connection = hub.connections.get(sid)
        if connection is None:  # it has left altogether
            return
        connection.audiences.discard((organization_id, audience))
        hub.reader.unfollow(organization_id, (sid, audience))
        socketio.server.leave_room(sid, wire.room(organization_id, audience))


def expel(sid: str, organization_id: str) -> None:
    """Let a socket hear nothing of an organization any more, no device and nothing of its own."""
    connection = ours().connections.get(sid)
    for one, audience in list(connection.audiences if connection is not None else ()):
        if one == organization_id:
            leave(sid, one, audience)
