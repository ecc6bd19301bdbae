"""`python -m devicehub` as it is: mongod, Redis, the api and the worker."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.conftest import free_port, wait_until
from tests.embedded.conftest import alive, environment


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        (sys.executable, "-m", "devicehub"),
        cwd=tmp_path,
        env=environment() | {"PORT": str(free_port())},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_an_empty_folder_serves_and_ends_without_a_trace(whole: subprocess.Popen[str], tmp_path: Path) -> None:
    assert whole.stdout
    said = ""
    while "is healthy" not in said:
        line = whole.stdout.readline()
        assert line, said
        said += line
    addresses = {}
    while len(addresses) < 5:
        name, _, address = whole.stdout.readline().strip().partition(" ")
        if address:
            addresses[name] = address.strip()

    health = httpx.get(addresses["Health"]).json()
    assert health["dependencies"] == {"mongodb": "connected", "redis": "connected", "queue": "active"}
    assert httpx.get(addresses["Docs"], follow_redirects=True).status_code == 200
    assert "Nobody was mailed yet" in httpx.get(addresses["Mails"]).text
    assert httpx.get(f"{addresses['API']}/devices").status_code == 401
    assert Path(addresses["Data"]) == tmp_path / "var"

    family = psutil.Process(whole.pid).children(recursive=True)
    whole.send_signal(signal.SIGINT)
    rest = whole.communicate(timeout=30)[0]

    assert whole.returncode == 0
    assert rest.splitlines()[-1] == f"Stopped. Your data is in {tmp_path / 'var'}"
    wait_until(lambda: not any(alive(each.pid) for each in family), what=f"the end of {family}")
