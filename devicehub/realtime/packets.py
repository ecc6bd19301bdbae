"""Socket.IO packets as we read them: nothing a client can write breaks the reading of it.

As they come, python-socketio's packets let a client name `connect`, `disconnect` or `*` as its event, the last of
which runs a handler as *another* client; collect binary attachments without bound; and fail on an event without a
name. Here every event arrives as `[name, *arguments]` with a sound name, or as `["", error]`: what is wrong is
answered by the same handler as an unknown event, through the same acknowledgement.
"""

import re
from typing import Any

import orjson
import socketio.packet
from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, CONNECT, DISCONNECT, EVENT

from devicehub.core.errors import DeviceHubError, MalformedRequest, PayloadTooLarge

LARGEST_MESSAGE = 64 << 10
_HEAD = 512
_NAME = re.compile(r"(?!(?:connect|disconnect)$)[A-Za-z][A-Za-z0-9_:-]{0,63}", re.A)


class Json:
    """orjson in the clothes of `json`: it refuses deep nesting and huge numbers instead of failing on them."""

    @staticmethod
    def dumps(value: Any, **_: Any) -> str:
        return orjson.dumps(value).decode()

    @staticmethod
    def loads(text: str | bytes, **_: Any) -> Any:
        return orjson.loads(text)


class Packet(socketio.packet.Packet):
    """A Socket.IO packet; binary ones are refused, for no event of ours takes any."""

    json = Json

    def __init__(self, *args: Any, encoded_packet: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if encoded_packet is not None:
            self.decode(encoded_packet)

    def decode(self, encoded_packet: Any) -> int:
        """Read what a client sent; never raises, never asks for attachments."""
        self.packet_type, self.namespace, self.id, self.data = ACK, None, None, None
        error = self._read(encoded_packet) if isinstance(encoded_packet, str) else None
        if self.packet_type in (EVENT, BINARY_EVENT):
            self.packet_type = EVENT
            self.data = ["", error] if error else self.data
        elif self.packet_type == CONNECT:
            self.data = self.data if isinstance(self.data, dict) else None
        elif self.packet_type == ACK and not error and self.id and isinstance(self.data, list):
            pass  # the answer to an emit with a callback
        elif self.packet_type != DISCONNECT:
            # An attachment, half an answer, a packet only servers send: to the manager, an answer to nothing.
            self.packet_type, self.id, self.data = ACK, None, []
        return 0

    def _read(self, text: str) -> DeviceHubError | None:
        is_large = len(text.encode()) > LARGEST_MESSAGE
        try:
            super().decode(text[:_HEAD] if is_large else text)
        except ValueError:
            if not is_large:
                return MalformedRequest(reason="This is not a message of valid JSON.")
        if is_large:
            self.data = None
            return PayloadTooLarge(limit=LARGEST_MESSAGE)
        if self.packet_type in (BINARY_EVENT, BINARY_ACK):
            return MalformedRequest(reason="Binary messages are not taken.")
        if self.packet_type == EVENT and not _is_sound(self.data):
            return MalformedRequest(reason="An event is a list that begins with its name.")
        return None


def _is_sound(data: Any) -> bool:
    return isinstance(data, list) and bool(data) and isinstance(data[0], str) and bool(_NAME.fullmatch(data[0]))
