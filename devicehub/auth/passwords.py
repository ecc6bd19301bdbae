"""Passwords: what makes one fit (NIST SP 800-63B), and bcrypt off the event loop."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import Any

import bcrypt
from gevent import monkey
from gevent.threadpool import ThreadPool

from devicehub.auth.errors import UnfitPassword
from devicehub.auth.fields import LONGEST_BYTES, normalize, wrong_length
from devicehub.core import config, turnstile
from devicehub.core.errors import Busy

THREADS = 2


def check(password: str, *, name: str, email: str, field: str = "password") -> None:
    """Raise UnfitPassword unless `password` may be set by the account of this name and address.

    `field` is what the client calls it.
    """
    reason = _what_is_unfit(password, name.casefold(), email.casefold())
    if reason:
        raise UnfitPassword(errors={field: [reason]})


def _what_is_unfit(password: str, name: str, email: str) -> str | None:
    if reason := wrong_length(password):
        return reason
    text = normalize(password)
    if text.casefold() in _common():
        return "This is one of the most common passwords."
    if _is_made_of(text.casefold(), name, email):
        return "Made of your own name, your e-mail address or ours."
    return None


@cache
def _common() -> frozenset[str]:
    lines = resources.files("devicehub.auth").joinpath("common_passwords.txt").read_text("utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _is_made_of(password: str, name: str, email: str) -> bool:
    """Whether nothing but digits and signs is left once the account's own words are taken out."""
    own = {"devicehub", email, *re.split(r"\W+", name), *re.split(r"\W+", email), re.sub(r"\W", "", name)}
    rest = password
    for word in sorted((word for word in own if len(word) > 2), key=len, reverse=True):
        rest = rest.replace(word, "")
    return rest != password and not re.search(r"[^\W\d_]", rest)


def hash_password(password: str) -> str:
    """The bcrypt hash of a password; raises Busy when too many wait already."""
    secret = normalize(password).encode()
    return _run(lambda: bcrypt.hashpw(secret, bcrypt.gensalt(config.current().bcrypt_rounds)).decode())


def matches(password: str, hashed: str | None) -> bool:
    """Whether `password` has this hash; with None it takes the same time and says no. Raises Busy."""
    secret = normalize(password).encode()
    if hashed is None or len(secret) > LONGEST_BYTES:
        secret = secret[:LONGEST_BYTES]
        _run(lambda: bcrypt.checkpw(secret, _dummy().encode()))
        return False
    return _run(lambda: bcrypt.checkpw(secret, hashed.encode()))


@cache
def _dummy() -> str:
    return bcrypt.hashpw(b"nobody's password", bcrypt.gensalt(config.current().bcrypt_rounds)).decode()


class _Pool:
    """Two real threads (bcrypt lets go of the interpreter) and a bounded queue before them."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(config.current().password_hash_queue)
        self._patched = monkey.is_module_patched("threading")
        self._threads: Any = ThreadPool(THREADS) if self._patched else ThreadPoolExecutor(THREADS)

    def run(self, work: Callable[[], Any]) -> Any:
        if not self._room.acquire(blocking=False):
            raise Busy(retry_after=1)
        try:
            with turnstile.current().outside():
                return self._threads.apply(work) if self._patched else self._threads.submit(work).result()
        finally:
            self._room.release()


@cache
def _pool() -> _Pool:
    return _Pool()


def _run(work: Callable[[], Any]) -> Any:
    return _pool().run(work)
