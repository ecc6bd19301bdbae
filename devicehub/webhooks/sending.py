"""One POST to a receiver nobody vouches for: to no address it may not be, bounded in time and in what is read.

The name is looked up once, by whoever connects, and each address judged before anything is connected to: there is
no second look-up that could find another. TLS still proves the name, for only the connection knows of the address.
No redirect is followed and no proxy asked; httpcore knows of neither.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpcore
import structlog

from devicehub.core import clock
from devicehub.webhooks import addresses
from devicehub.webhooks.addresses import AddressRefused, NameUnknown

log = structlog.get_logger(__name__)

PATIENCE_S = 10.0
MOST_READ = 1024
IDLE_S = 4.0  # less than most servers keep a connection that nothing is said on
_WORDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (AddressRefused, "address_refused"),
    (NameUnknown, "name_unknown"),
    (httpcore.TimeoutException, "timed_out"),
    (httpcore.ConnectError, "connection_failed"),
    ((httpcore.NetworkError, httpcore.ProtocolError), "connection_lost"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: what was answered, or in a word why there was no answer."""

    duration_ms: int
    status_code: int | None = None
    error: str | None = None
    answer: str = ""
    retry_after_s: float | None = None
    at: datetime = field(default_factory=clock.now)

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


class Sender:
    """Sends to one receiver; keeps the connection between deliveries, if the receiver does."""

    def __init__(self) -> None:
        self._backend = _Backend()
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(), max_connections=1, keepalive_expiry=IDLE_S, network_backend=self._backend
        )

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def post(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """Send once; whatever goes wrong out there is in the outcome, and nothing is raised."""
        begun = time.monotonic()
        self._backend.deadline = begun + PATIENCE_S
        asked = [(b"Accept-Encoding", b"identity"), *((k.encode(), v.encode()) for k, v in headers.items())]
        try:
            with self._pool.stream("POST", url, headers=asked, content=body.encode()) as response:
                return _outcome(response, begun)
        except Exception as error:
            return Outcome(_since(begun), error=_word(error))


@cache
def _tls() -> ssl.SSLContext:
    """One for all: reading the authorities takes longer than most deliveries."""
    return httpcore.default_ssl_context()


def _outcome(response: httpcore.Response, begun: float) -> Outcome:
    answer = bytearray()
    with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):  # its status has come
        for chunk in response.iter_stream():
            answer += chunk
            if len(answer) >= MOST_READ:
                break
    outcome = Outcome(
        _since(begun),
        response.status,
        answer=bytes(answer[:MOST_READ]).decode(errors="replace").replace("\0", "\ufffd"),
        retry_after_s=_retry_after(response) if response.status in (429, 503) else None,
    )
    return outcome if outcome.is_success else replace(outcome, error="bad_status")


def _word(error: Exception) -> str:
    """What is told of a failure; one that nobody thought of is ours to look into, and must not stop the rest."""
    word = next((word for kinds, word in _WORDS if isinstance(error, kinds)), None)
    if word is None:
        log.error("webhook.unforeseen", exc_info=error)
        return "unforeseen"
    return "tls_failed" if _is_of_tls(error) else word


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)


def _retry_after(response: httpcore.Response) -> float | None:
    """The seconds that the header says, which may be a number of them or a date."""
    text = next(
        (value.decode("latin-1") for name, value in response.headers if name.lower() == b"retry-after"), ""
    )
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - clock.timestamp())
    except (ValueError, OverflowError):
        return None


def _is_of_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


class _Backend(httpcore.SyncBackend):
    """Connects to judged addresses only; `deadline` bounds all that a connection does together."""

    deadline = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Each address has its share of the time: one that swallows all is not the end of the others."""
        failure: Exception = httpcore.ConnectTimeout()
        found = addresses.resolve(host, port)
        for number, address in enumerate(found):
            share = self.left(httpcore.ConnectTimeout) / (len(found) - number)
            try:
                stream = super().connect_tcp(address, port, share)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self)
        raise failure

    def left(self, too_late: type[Exception]) -> float:
        """The seconds that are left; raises `too_late` when there are none."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise too_late()
        return seconds


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, backend: _Backend) -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._backend.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._backend.left(httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """A handshake is many reads, each with the whole time-out: one that drips is cut off."""
        left = self._backend.left(httpcore.ConnectTimeout)
        with self._inner.get_extra_info("socket").dup() as twin:  # TLS takes the socket itself away from us
            cut = threading.Timer(left, _hang_up, [twin])
            cut.daemon = True
            cut.start()
            try:
                return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._backend)
            finally:
                cut.cancel()

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
