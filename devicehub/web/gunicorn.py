"""gunicorn's settings: `gunicorn -c devicehub/web/gunicorn.py wsgi:app`.

Every name here that gunicorn knows is a setting of its own; the rest come from ours.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import gevent
import orjson
from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.workers.ggevent import GeventWorker

from devicehub.core import crypto
from devicehub.core.config import ConfigurationError, Settings, load

HEADERS_S, IDLE_S = 10, 15
# After SIGTERM, for the rest of a request that was half sent.
LAST_WORDS_S = 0.5


class _Joined:
    """A connection on which what is held leaves with what comes next."""

    def __init__(self, connection: Any) -> None:
        self._connection, self._held, self.is_holding = connection, b"", False

    def __getattr__(self, name: str) -> Any:
        self.sendall(b"")  # whatever else is done with the connection comes after that
        return getattr(self._connection, name)

    def sendall(self, data: bytes) -> None:
        data, self._held = self._held + data, b""
        if self.is_holding:
            self._held = data
        elif data:
            self._connection.sendall(data)


class Response(wsgi.Response):
    """gunicorn's, but its head leaves with the beginning of its body: a client wakes once, for all of it."""

    def __init__(self, req: Any, sock: Any, cfg: Any) -> None:
        super().__init__(req, _Joined(sock), cfg)

    def send_headers(self) -> None:
        self.sock.is_holding = True
        try:
            super().send_headers()
        finally:
            self.sock.is_holding = False

    def close(self) -> None:
        super().close()
        self.sock.sendall(b"")  # of an answer without a body, its head


class Worker(GeventWorker):
    """gunicorn's gevent worker, but it knows whom not to wait for.

    As it comes, it tells nobody of its end and waits for all: for streams and sockets, which have none, and for
    clients that merely keep their connection for a next request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[gevent.Greenlet, gevent.Timeout] = {}

    def load_wsgi(self) -> None:
        # All that is made here stays. The garbage collector need not look through it now, nor ever after: it would
        # keep everybody waiting for a tenth of a second.
        gc.disable()
        super().load_wsgi()
        gc.collect()
        gc.freeze()
        gc.enable()
        # What gunicorn has to say is logged as everything else is.
        self.log.error_log.handlers.clear()
        self.log.error_log.propagate = True
        util.write_error = _refuse
        wsgi.Response = Response

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        gevent.getcurrent().patience = HEADERS_S
        super().handle(listener, client, addr)

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Wait for the next request, and its headers, so long and no longer; then hang up."""
        greenlet = gevent.getcurrent()
        patience = greenlet.patience if self.alive else LAST_WORDS_S  # `_drain` may have looked already
        with gevent.Timeout(patience, False) as timeout:
            self._waiting[greenlet] = timeout
            try:
                yield
            finally:
                del self._waiting[greenlet]
                greenlet.patience = IDLE_S

    def handle_exit(self, sig: int, frame: Any) -> None:
        super().handle_exit(sig, frame)
        gevent.spawn(self._drain)  # a signal handler must not wait, and draining may

    def _drain(self) -> None:
        from devicehub.realtime import service as realtime  # not before gevent has patched what it uses

        realtime.drain()
        gevent.sleep(LAST_WORDS_S)
        for greenlet, timeout in list(self._waiting.items()):
            greenlet.kill(timeout, block=False)  # `throw` would never come back here


def pre_fork(_server: Any, _worker: Any) -> None:
    """Keep a worker's garbage collector away from what it shares with us: each page that it marks is one more."""
    gc.collect()
    gc.freeze()


def worker_exit(_server: Any, _worker: Any) -> None:
    """What this process had to do for all, another does from now on."""
    from devicehub.core import duties  # not before gevent has patched what it uses

    duties.stop_all()


def _refuse(client: Any, status: int, *_: str) -> None:
    """Say as a problem what gunicorn refuses by itself; its own words would be HTML, and repeat what was sent."""
    # Not before gevent has patched what they use.
    from devicehub.core.errors import DeviceHubError, UriTooLong
    from devicehub.web import errors

    phrase, request_id = HTTPStatus(status).phrase, crypto.random_token(12)
    known = {error.status: error for error in (UriTooLong, DeviceHubError)}.get(status)
    code, title, detail = (
        (known.code, known.title, known.detail)
        if known
        else ("MALFORMED_REQUEST", phrase.capitalize(), "This is no HTTP, or more of it than is read.")
    )
    body = orjson.dumps(errors.problem(status, code, title, detail) | {"requestId": request_id})
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nX-Request-ID: {request_id}\r\n"
        f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(client, head.encode() + body)


def _settings() -> Settings:
    """Ours; when they are wrong it is said here, once, rather than by every worker in turn."""
    try:
        ours = load()
    except ConfigurationError as error:
        sys.exit(f"devicehub: {error}")
    if ours.web_concurrency > 1 and ours.devicehub_role != "api":
        sys.exit(
            "devicehub: WEB_CONCURRENCY must be 1 unless DEVICEHUB_ROLE is api: "
            "a Socket.IO client has to meet the same process again."
        )
    return ours


_ours = _settings()

bind = f"{_ours.devicehub_host}:{_ours.port}"
worker_class = Worker
workers = _ours.web_concurrency
worker_connections = 4000
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a disk may block
keepalive = IDLE_S
limit_request_line = 8190  # 20 tags may take as much
graceful_timeout = 20
timeout = 60
accesslog = None
loglevel = "warning"
# Whom to believe about X-Forwarded-* is TRUSTED_PROXIES' to say, and nobody else's.
forwarded_allow_ips = ""
# It would be one file in the user's home, for all instances.
control_socket_disable = True
