"""What a person sees of `make run`: each step as it is done, then where everything is."""

import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from devicehub import __version__


class Screen:
    """A spinner on a terminal, plain lines elsewhere; losing the terminal harms nothing."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)

    def say(self, line: str = "") -> None:
        """Print one line."""
        with suppress(OSError):  # the terminal was closed, and that is why we are stopping
            self._console.print(line)

    @contextmanager
    def quiet_step(self, name: str) -> Iterator[None]:
        """Show that `name` is being started, and how long that took."""
        with self._console.status(f"Starting {name} ..."), self._timed(name):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """The same for what writes to the terminal as well, where a spinner would get between its words."""
        self.say(f"  {name} starting ...")
        with self._timed(name):
            yield

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.say(f"  {name} started in {time.monotonic() - begun:.1f} s")

    def ready(self, url: str, data: Path, health: Mapping[str, Any], *, has_mail_page: bool) -> None:
        """The one screen: the addresses that exist, where the data lie, what to do next."""
        simulate = _tool("devicehub", "simulate", *(() if url.endswith(":5000") else ("--url", url)))
        lines = (
            "",
            f"DeviceHub {__version__} is {_state(health)}.",
            "",
            f"  Live      {url}/live",
            f"  API       {url}/api",
            f"  Docs      {url}/docs",
            f"  Jobs      {url}/rq",
            *([f"  Mails     {url}/dev/mail"] if has_mail_page else ()),
            f"  Health    {url}/health",
            f"  Data      {data}",
            "",
            f"  Watch devices come alive:  {simulate}",
            "  Stop everything:           Ctrl-C",
            "",
        )
        for line in lines:
            self.say(line)


def _state(health: Mapping[str, Any]) -> str:
    """What /health said, in words, with what it misses."""
    found = health.get("dependencies", {}).items()
    missing = ", ".join(f"{name} {state}" for name, state in found if state not in ("connected", "active"))
    return str(health.get("status", "not answering yet")) + (f" ({missing})" if missing else "")


def _tool(name: str, *arguments: str) -> str:
    """The command line for a program of our virtual environment, as short as it can be typed from here."""
    program = Path(sys.executable).parent / name
    with suppress(ValueError):
        program = program.relative_to(Path.cwd())
    return shlex.join([os.fspath(program), *arguments])
