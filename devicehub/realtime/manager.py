"""Flask-SocketIO, bound: our packets, our transport, and a Redis queue that comes back within 2 s.

The queue carries what is not in the event log: room changes, disconnects, and emits of other code and processes.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import structlog
from engineio.payload import Payload
from flask import Flask
from gevent.monkey import is_module_patched
from socketio import RedisManager
from socketio import manager as socketio_manager
from socketio.packet import EVENT

from devicehub.core import redis
from devicehub.core.config import Settings
from devicehub.core.redis import Redis, RedisAway
from devicehub.extensions import socketio
from devicehub.realtime import hub, publishing, service, transport
from devicehub.realtime.line import Line
from devicehub.realtime.packets import Json, Packet
from devicehub.realtime.transport import LARGEST_FRAME

log = structlog.get_logger(__name__)

# A client that was offline sends what it kept in one go; beyond this engine.io would drop the whole of it.
MOST_PACKETS = 128


class FanOut(socketio_manager.Manager):
    """The emit that python-socketio's pub/sub managers end up in: an event is encoded and framed once for all."""

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """As the one it replaces; what asks for an answer, or leaves somebody out, goes its usual way."""
        if callback or skip_sid or namespace not in self.rooms:
            super().emit(event, data, namespace, room, skip_sid, callback, to, **kwargs)
            return
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        text = Packet(EVENT, namespace=namespace, data=[event, *arguments]).encode()
        transport.send_all([eio_sid for _, eio_sid in self.get_participants(namespace, to or room)], text)


class Manager(RedisManager, FanOut):
    """python-socketio's Redis manager whose listener never sleeps long and whose publisher never waits long."""

    def __init__(self, client: Redis, *, welcome: Callable[[str], None]) -> None:
        # Channels, unlike keys, are shared by all databases of a Redis server.
        channel = f"socketio:{client.pool.connection_kwargs.get('db') or 0}"
        super().__init__(client.url, channel=channel)
        self._client, self._welcome = client, welcome
        self._line = Line(client.url, channel)

    def connect(self, sid: str, namespace: str) -> str:
        """python-socketio calls this once the client was told that it is let in."""
        sid = super().connect(sid, namespace)
        if self.server.get_environ(sid, namespace) is None:  # it left while it was being let in
            self.disconnect(sid, namespace, ignore_queue=True)
            service.forget(sid)
        else:
            self._welcome(sid)
        return sid

    def trigger_callback(self, sid: str, id: int | None, data: list[Any]) -> None:
        """Ignore an answer nobody waits for, without a line in the log for each."""
        if id and id in self.callbacks.get(sid, {}):
            super().trigger_callback(sid, id, data)

    def _publish(self, data: dict[str, Any]) -> None:
        message = self.json.dumps(data)
        with suppress(RedisAway):
            self._client.call(lambda client: client.publish(self.channel, message))

    def _listen(self) -> Iterator[bytes]:
        return (heard.message for heard in self._line.listen() if heard.kind == "message")

    def close(self) -> None:
        """End the listener."""
        self._line.close()


def init_socketio(app: Flask, settings: Settings, *, memberships: hub.Memberships) -> None:
    """Put Socket.IO in front of `app`, unless this process's role leaves that to another.

    Handlers are registered after this, for they go to the server made here.
    """
    client = redis.current()
    hub.use(publishing.current(), memberships=memberships)
    Payload.max_decode_packets = MOST_PACKETS
    socketio.init_app(
        app if settings.devicehub_role != "api" else None,
        async_mode="gevent" if is_module_patched("socket") else "threading",
        async_handlers=False,  # a client's events are answered in their order, and never faster than we can
        client_manager=Manager(client, welcome=service.welcome),
        cors_allowed_origins=_origins(settings),
        cors_credentials=False,
        max_http_buffer_size=LARGEST_FRAME,
        serializer=Packet,
        json=Json,
        logger=_quiet("socketio"),
        engineio_logger=_quiet("engineio"),
    )
    transport.install(socketio.server.eio)


def _origins(settings: Settings) -> Callable[[str | None, dict[str, Any]], bool]:
    """Which pages may connect: those of our own origin and of ALLOWED_ORIGINS."""

    def is_allowed(origin: str | None, environ: dict[str, Any]) -> bool:
        own = f"{environ.get('wsgi.url_scheme')}://{environ.get('HTTP_HOST')}"
        return origin == own or origin in settings.allowed_origins or "*" in settings.allowed_origins

    return is_allowed


def _quiet(name: str) -> logging.Logger:
    """A library's logger that tells of failures alone: below that it would write down what clients send."""
    logger = logging.getLogger(name)
    logger.setLevel(logging.ERROR)
    return logger
