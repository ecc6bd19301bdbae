"""One command to a MongoDB on the loopback, without a driver.

The supervisor lives as long as DeviceHub does; a driver would be a third of it, for three commands at its start.
"""

import socket
import struct
from typing import Any

import bson

from devicehub.embedded.ports import LOOPBACK

OP_MSG = 2013
TIMEOUT_S = 30.0


class CommandFailed(Exception):
    """The server refused, or did not answer."""


def command(port: int, body: dict[str, Any], database: str = "admin") -> dict[str, Any]:
    """What the server answers to `body`, whose first key names the command."""
    try:
        answer = _ask(port, bson.encode(body | {"$db": database}))
    except (OSError, struct.error, bson.errors.BSONError) as error:
        raise CommandFailed(f"no answer to {next(iter(body))}: {error}") from error
    if not answer.get("ok") or answer.get("writeErrors"):
        raise CommandFailed(str(answer))
    return answer


def _ask(port: int, document: bytes) -> dict[str, Any]:
    """Length, request, response to, opcode; flags, and one section of kind 0: the document."""
    message = struct.pack("<iiiiIB", 21 + len(document), 1, 0, OP_MSG, 0, 0) + document
    with socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(message)
        with connection.makefile("rb") as answers:
            (length,) = struct.unpack("<i", answers.read(4))
            return bson.decode(answers.read(length - 4)[17:])
