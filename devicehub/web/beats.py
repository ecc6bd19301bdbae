"""A device's heartbeat before Flask: what plainly is one, sent with the device's own key, is answered here.

A fleet sends little else, and Flask with its extensions takes several times as long over one as all that is to be
done for it. Here those that wait at the same time are done together: whose keys they are, their limits, and the
beats themselves. What is the least bit unusual, or is to be refused, goes on to Flask, which alone says what is
wrong. A test sends the same both ways.
"""

import io
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import orjson
from marshmallow import ValidationError

from devicehub.core import config, migrations
from devicehub.core.actor import Actor
from devicehub.core.errors import DeviceHubError
from devicehub.core.groups import Group
from devicehub.core.redis import RedisAway
from devicehub.devices import heartbeats, intake, views
from devicehub.devices import keys as device_keys
from devicehub.devices.views import Beat
from devicehub.web import hooks, windows
from devicehub.web.hooks import WSGI
from devicehub.web.parsing import parse_json
from devicehub.web.windows import Window

RULE = "/api/devices/<id:device_id>/heartbeat"
LARGEST_BODY = 4 << 10
_PATH = re.compile(r"/api/devices/([0-9a-fA-F]{24})/heartbeat")
_BEARER = re.compile(r"Bearer (dhd_[0-9a-f]{24}_[A-Za-z0-9_-]{43})")
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_LENGTH = re.compile(r"[1-9][0-9]{0,3}")
# What would make a request something else than what it looks like.
_ODD = frozenset(
    f"HTTP_{name}" for name in ("X_API_KEY", "ORIGIN", "CONTENT_ENCODING", "TRANSFER_ENCODING", "IDEMPOTENCY_KEY")
)

Environ = dict[str, Any]


class Sent(NamedTuple):
    """A beat as it came."""

    device_id: str
    token: str
    told: Mapping[str, Any]
    request_id: str
    ip: str | None


class Heard(NamedTuple):
    """How far it came: whose it is, how it was counted, what came of it. What is None is Flask's to find out."""

    actor: Actor | None = None
    window: Window | None = None
    outcome: Beat | Exception | None = None


def in_front(inner: WSGI) -> WSGI:
    """`inner`, but for beats that are answered here."""

    def answered(environ: Environ, start_response: Any) -> Iterable[bytes]:
        started = time.perf_counter()
        sent = _read(environ)
        if sent is None:
            return inner(environ, start_response)
        [heard] = _group.submit([sent])
        if not isinstance(heard.outcome, Beat) or heard.actor is None or heard.window is None:
            _hand_on(environ, heard)
            return inner(environ, start_response)
        body = orjson.dumps(views.beat(heard.outcome))
        start_response("200 OK", _headers(environ, heard.actor, heard.window, len(body), started))
        return [body]

    return answered


def _read(environ: Environ) -> Sent | None:
    """The beat that a request plainly is; its body can be read again."""
    path, credential = (
        _PATH.fullmatch(environ["PATH_INFO"]),
        _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", "")),
    )
    if path is None or credential is None or not _is_plain(environ) or not _is_served():
        return None
    told = _told(environ)
    if told is None:
        return None
    request_id = hooks.request_id(environ.get("HTTP_X_REQUEST_ID", ""))
    return Sent(path[1], credential[1], told, request_id, environ.get("REMOTE_ADDR"))


def _is_plain(environ: Environ) -> bool:
    return (
        environ["REQUEST_METHOD"] == "POST"
        and not environ.get("QUERY_STRING")
        and not environ.get("SCRIPT_NAME")
        and _ODD.isdisjoint(environ)
        and _HOST.fullmatch(environ.get("HTTP_HOST", "")) is not None
    )


def _is_served() -> bool:
    return config.current().devicehub_role != "realtime" and migrations.done.is_set()


def _told(environ: Environ) -> Mapping[str, Any] | None:
    """What the body says, if it is small and sound; without one, nothing but that the device lives."""
    length, kind = environ.get("CONTENT_LENGTH") or "0", environ.get("CONTENT_TYPE") or ""
    if length == "0":
        return {} if not kind else None
    if kind != "application/json" or _LENGTH.fullmatch(length) is None or int(length) > _largest_body():
        return None
    body = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    try:
        return intake.judge(parse_json(body)) if len(body) == int(length) else None
    except (DeviceHubError, ValidationError):
        return None


def _largest_body() -> int:
    return min(LARGEST_BODY, config.current().max_request_size)


def _round(sent: list[Sent]) -> list[Heard]:
    """All beats of a moment, each as far as it comes."""
    try:
        own = _own(sent)
        taken = zip(own, windows.take(list(own.values())), strict=True)
    except RedisAway:
        return [Heard()] * len(sent)
    except Exception as error:
        return [Heard(outcome=error)] * len(sent)
    counted = {index: window for index, window in taken if window is not None}
    outcomes = _outcomes([(own[index], sent[index].device_id, sent[index].told) for index in counted])
    heard = {
        index: Heard(own[index], counted[index], outcome) for index, outcome in zip(counted, outcomes, strict=True)
    }
    return [heard.get(index, Heard()) for index in range(len(sent))]


def _outcomes(many: list[tuple[Actor, str, Mapping[str, Any]]]) -> Sequence[Beat | Exception]:
    """What came of beats that were counted; where all failed together, of each the same."""
    try:
        return heartbeats.beat_each(many)
    except Exception as error:
        return [error] * len(many)


def _own(sent: list[Sent]) -> dict[int, Actor]:
    """By index, the devices that came with a key that lives and speak of themselves."""
    actors = device_keys.identify_all([one.token for one in sent])
    return {
        index: replace(actor, request_id=one.request_id, ip=one.ip)
        for index, (one, actor) in enumerate(zip(sent, actors, strict=True))
        if isinstance(actor, Actor) and actor.device_id == one.device_id.lower()
    }


def _hand_on(environ: Environ, heard: Heard) -> None:
    """Let Flask know what is done: who was counted is not counted again, nor waits again for what is away."""
    if heard.window is not None:
        environ[windows.COUNTED] = heard.window
    is_plain = isinstance(heard.outcome, DeviceHubError) and heard.outcome.status < 500
    if isinstance(heard.outcome, Exception) and not is_plain:
        environ[hooks.REFUSAL] = heard.outcome


def _headers(environ: Environ, actor: Actor, window: Window, size: int, started: float) -> list[tuple[str, str]]:
    elapsed_ms = (time.perf_counter() - started) * 1000
    facts = {"method": "POST", "route": RULE, "path": environ["PATH_INFO"], "status": 200}
    hooks.note(facts | {"ip": actor.ip, "request_id": actor.request_id}, elapsed_ms, actor)
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(size)),
        *window.headers.items(),
        *hooks.headers_for_no_page(config.current().allowed_origins),
        *hooks.own_headers(actor.request_id or "", elapsed_ms).items(),
        *hooks.standing_headers(is_api=True, is_secure=environ.get("wsgi.url_scheme") == "https").items(),
    ]


_group: Group[Sent, Heard] = Group(_round, largest=500)
