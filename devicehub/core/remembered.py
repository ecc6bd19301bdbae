"""What Redis remembers of MongoDB's answers for a moment, and the words that are written over it.

An answer is remembered for 30 s; an end or a change is written over it for 60 s, so that a look-up that raced it
cannot revive what it saw before.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from devicehub.core import redis
from devicehub.core.redis import RedisAway

ANSWER_S, WORD_S = 30, 60
ENDED: Final = b"ended"
CHANGED: Final = b"changed"
# Over nothing, or over what is remembered from before an outage; never over a word.
_KEEP = """
local known = redis.call('GET', KEYS[1])
if known ~= ARGV[3] and known ~= ARGV[4] then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""


def keep(key: str, answer: bytes) -> None:
    """Remember an answer, unless a word stands there."""
    with suppress(RedisAway):
        redis.current().script(_KEEP)([key], [answer, ANSWER_S, ENDED, CHANGED])


def overwrite(keys: Iterable[str], word: bytes) -> None:
    """Let nobody believe any longer what is remembered under these keys."""

    def ask(client: Any) -> None:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.set(key, word, ex=WORD_S)
        pipe.execute()

    with suppress(RedisAway):  # without Redis what is remembered goes by itself within 30 s
        redis.current().call(ask)
