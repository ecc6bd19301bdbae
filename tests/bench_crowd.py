"""A crowd of its own process, which ends by itself: connections that are kept and ask, one question after the other.

`python -m tests.bench_crowd PORT TOKEN PATH CONNECTIONS SECONDS [HEADER]` prints what it saw as JSON.
"""

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

PATIENCE_S = 60.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Seen:
    """What became of the questions; the times in seconds."""

    connected: int = 0
    answered: int = 0
    errors: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)


async def ask_on(seen: Seen, port: int, question: bytes, until: float) -> None:
    """Hold one connection, and ask until the time is over."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        seen.errors += 1
        return
    seen.connected += 1
    try:
        while time.monotonic() < until:
            begun = time.monotonic()
            writer.write(question)
            status = await asyncio.wait_for(_answer(reader), PATIENCE_S)
            seen.times.append(time.monotonic() - begun)
            seen.answered += 1
            seen.statuses[status] += 1
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        seen.errors += 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    await reader.readexactly(int(length[1]) if length else 0)
    return int(head.split(b" ", 2)[1])


async def crowd(port: int, question: bytes, connections: int, seconds: float) -> Seen:
    """So many at once."""
    seen, until = Seen(), time.monotonic() + seconds
    await asyncio.gather(*(ask_on(seen, port, question, until) for _ in range(connections)))
    return seen


def main() -> None:
    port, token, path, connections, seconds, *headers = sys.argv[1:]
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {token}", *headers, "", ""]
    question = "\r\n".join(lines).encode()
    seen = asyncio.run(crowd(int(port), question, int(connections), float(seconds)))
    times = sorted(seen.times) or [0.0]
    shown = {name: value for name, value in vars(seen).items() if name != "times"}
    ranks = {f"p{rank}_ms": round(1000 * times[(len(times) - 1) * rank // 100], 1) for rank in (50, 99)}
    print(json.dumps(shown | ranks))


if __name__ == "__main__":
    main()
