"""The whole of DeviceHub as `make run` starts it, and programs that speak to it.

Its limits are as they come, but for what counts as signing in: the collection is run twice within a minute.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.running import running

CLIENTS = Path(__file__).parent


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of all of DeviceHub."""
    with running(tmp_path_factory.mktemp("run"), AUTH_RATE_LIMIT="20 per minute") as address:
        yield address


class Program:
    """A program of this folder that tells what it hears, and is told what to send."""

    def __init__(self, *command: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            ["node", *command], cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                self.heard.append(json.loads(line))

    def named(self, *events: str) -> list[dict[str, Any]]:
        return [told["payload"] for told in list(self.heard) if told["event"] in events]

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self.named(event)) >= count, what=f"{count} {event}, heard {self.heard[-5:]}")
        return self.named(event)[count - 1]

    def call(self, event: str, *payload: Any) -> dict[str, Any]:
        """Send an event; what was acknowledged."""
        assert self._process.stdin
        before = len(self.named("acknowledgement"))
        self._process.stdin.write(json.dumps([event, *payload]) + "\n")
        self._process.stdin.flush()
        return self.wait_for("acknowledgement", before + 1)

    def close(self) -> None:
        """End it; all it ever heard is in `heard` then."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            assert self._process.wait(10) == 0
        finally:
            self._process.kill()
            self._reader.join(10)


@contextmanager
def _closing(program: Program) -> Iterator[Program]:
    try:
        yield program
    finally:
        program.close()


@pytest.fixture
def node() -> Iterator[Callable[..., Program]]:
    """Start a program of this folder: `node("socket.mjs", url, token, "polling")`; it ends with the test."""
    with ExitStack() as programs:
        yield lambda *command: programs.enter_context(_closing(Program(*command)))
