"""Logs: one JSON object a line (pretty on a terminal in development), secrets masked, lines not forgeable."""

import json
import logging
import logging.handlers
import re
import sys
from functools import lru_cache
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from devicehub.core.config import Settings

_SECRET = re.compile(r"password|token|secret|otp|authorization|cookie|key", re.I)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
MASK = "***"


def setup(settings: Settings) -> None:
    """Send everything the process logs, ours and the libraries', to stdout and, if set, to LOG_FILE."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    pretty = settings.is_development and sys.stdout.isatty()
    handlers: list[logging.Handler] = [_handler(logging.StreamHandler(sys.stdout), shared, pretty=pretty)]
    if settings.log_file:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(settings.log_file, maxBytes=10 << 20, backupCount=5)
        handlers.append(_handler(rotating, shared, pretty=False))
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    for chatty in ("pymongo", "httpx", "httpcore", "urllib3", "socketio", "engineio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _handler(handler: logging.Handler, shared: list[Processor], *, pretty: bool) -> logging.Handler:
    render: Processor = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(_dumps)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, one_line, render],
        )
    )
    return handler


def _dumps(line: EventDict, **how: Any) -> str:
    """As `json` does, which escapes what is not ASCII: some of that would end the line, however deep it lies."""
    try:
        text = orjson.dumps(line, default=how["default"], option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a number beyond 64 bits, or half of a character
        return json.dumps(line, **how)
    return text.decode() if text.isascii() else json.dumps(line, **how)


@lru_cache(maxsize=10_000)
def is_secret(name: str) -> bool:
    """Whether what is called `name` is nobody's to read."""
    return _SECRET.search(name) is not None


def mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide the values of keys that name a secret, however deep they lie."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if is_secret(name):
        return MASK
    if isinstance(value, dict):
        return {str(inner): _masked(str(inner), part) for inner, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(name, part) for part in value]
    return value


def one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters in text, so that no value a client sent can look like a line of its own."""
    return {
        name: _CONTROL.sub(lambda c: f"\\x{ord(c[0]):02x}", value)
        if isinstance(value, str) and name != "exception"
        else value
        for name, value in event.items()
    }
