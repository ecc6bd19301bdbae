"""Ports on the loopback: which are free, and which one a folder's server had before."""

import socket
from collections.abc import Iterator
from pathlib import Path

from devicehub.embedded.errors import PortBusy

LOOPBACK = "127.0.0.1"
TRIES = 200
# On the loopback there is an answer at once, or a queue that is full.
CALL_S = 1.0


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """A listening socket on `port`; raises PortBusy when someone else has it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortBusy(f"Port {port} of {host} cannot be used: {error.strerror}.") from error
    return listener


def listen_near(port: int, host: str = LOOPBACK) -> socket.socket:
    """A listening socket on `port`, or on the next one that is free."""
    for candidate in _upwards(port):
        try:
            return listen(candidate, host)
        except PortBusy:
            continue
    raise PortBusy(f"No free port from {port} on.")


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    try:
        listen(port).close()
    except PortBusy:
        return False
    return True


def is_served(port: int) -> bool:
    """Whether somebody listens on `port` now: asked without taking it, as `is_free` does, from who is about to."""
    with socket.socket() as caller:
        caller.settimeout(CALL_S)
        return caller.connect_ex((LOOPBACK, port)) == 0


def free_from(port: int) -> Iterator[int]:
    """The free ports from `port` on; each may be lost to a stranger before it is used."""
    return filter(is_free, _upwards(port))


def remembered(note: Path) -> int | None:
    """The port written in `note`, if there is one."""
    try:
        return int(note.read_text())
    except (FileNotFoundError, ValueError):
        return None


def remember(note: Path, port: int) -> None:
    """Write `port` into `note`, whole or not at all."""
    draft = note.with_suffix(".new")
    draft.write_text(f"{port}\n")
    draft.replace(note)


def _upwards(port: int) -> range:
    return range(port, min(port + TRIES, 65536))
