"""`make bench-memory`: what `make run` takes when nothing happens, process by process.

On an empty folder, SETTLE_S after it says that it is healthy; proportional set sizes (PSS), so that what processes
share is counted once.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.conftest import ROOT, free_port

SETTLE_S = 30


def main() -> None:
    """Start it, wait, print, end it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"APP_ENV": "development", "DEVICEHUB_VAR": folder, "PORT": str(free_port())}
        run = subprocess.Popen(
            [sys.executable, "-m", "devicehub"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert run.stdout
            said = iter(run.stdout.readline, "")
            assert any("is healthy" in line for line in said), "it did not become healthy"
            time.sleep(SETTLE_S)
            Console().print(measured(psutil.Process(run.pid)))
        finally:
            run.send_signal(signal.SIGINT)
            run.communicate()


def measured(supervisor: psutil.Process) -> Table:
    """What each process of the run takes, and all of them."""
    family = [supervisor, *supervisor.children(recursive=True)]
    taken = [(name_of(process), process.memory_full_info().pss / (1 << 20)) for process in family]
    table = Table("process", "MB")
    for name, size in taken:
        table.add_row(name, f"{size:.1f}")
    table.add_row("together", f"{sum(size for _, size in taken):.1f}")
    return table


def name_of(process: psutil.Process) -> str:
    """What it is in docs/architecture.md."""
    if not process.name().startswith("python"):
        return process.name()
    program = next(word for word in process.cmdline()[1:] if not word.startswith("-"))
    if program == "gunicorn":
        return "gunicorn's arbiter" if process.children() else "api"
    return {"devicehub": "supervisor"}.get(program, Path(program).stem)


if __name__ == "__main__":
    main()
