"""Runs of stand-ins, forked off a process that has imported this: to import it takes longer than most of them run."""

import contextlib
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path

from devicehub.embedded import launch, settings
from tests.embedded import standin


def begin(folder: Path, output: Path, environment: Mapping[str, str], programs: tuple[str, ...]) -> None:
    """Become a run in `folder`."""
    with output.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    launch._wishes = _wishes
    standin.run(*programs)


def _wishes() -> launch.Wishes:
    """What the program would write that a run asks: to start it would be half of a run's work."""
    with contextlib.redirect_stdout(io.StringIO()) as written:
        settings.main()
    return launch.Wishes(**json.loads(written.getvalue()))
