"""The whole of DeviceHub as `make run` starts it, for tests that come to it from outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from devicehub.core.config import Settings
from tests.conftest import free_port, wait_until

HEALTHY_S = 60


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[str]:
    """`python -m devicehub` in an empty folder, under these settings and no others; ended by Ctrl-C. Its address."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    ours = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    with (folder / "output").open("wb") as output:
        run = subprocess.Popen(
            [sys.executable, "-m", "devicehub"],
            cwd=folder,
            env=environment | {"PORT": str(port)} | settings,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _is_healthy(run, address), HEALTHY_S, "DeviceHub to be healthy")
        yield address
    finally:
        run.send_signal(signal.SIGINT)
        ended = run.wait(30)
    assert ended == 0, (folder / "output").read_text()


def _is_healthy(run: subprocess.Popen[bytes], address: str) -> bool:
    assert run.poll() is None, "DeviceHub ended by itself"
    try:
        return bool(httpx.get(f"{address}/health", timeout=2).json()["status"] == "healthy")
    except httpx.TransportError:
        return False
