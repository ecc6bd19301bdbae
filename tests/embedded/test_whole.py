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

UNKNOWN = "65f0a1b2c3d4e5f6a7b8c9d2"


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


def started(whole: subprocess.Popen[str]) -> dict[str, str]:
    """What it says where, once it is healthy."""
    assert whole.stdout
    said = ""
    while "is healthy" not in said:
        line = whole.stdout.readline()
        assert line, said
        said += line
    addresses: dict[str, str] = {}
    while len(addresses) < 7:
        name, _, address = whole.stdout.readline().strip().partition(" ")
        if address:
            addresses[name] = address.strip()
    return addresses


def test_an_empty_folder_serves_finds_commands_beside_it_and_ends_without_a_trace(
    whole: subprocess.Popen[str], tmp_path: Path
) -> None:
    addresses = started(whole)
    _it_serves(addresses)
    assert Path(addresses["Data"]) == tmp_path / "var"
    _commands_find_its_servers(addresses, tmp_path)

    family = psutil.Process(whole.pid).children(recursive=True)
    whole.send_signal(signal.SIGINT)
    rest = whole.communicate(timeout=30)[0]

    assert whole.returncode == 0
    assert rest.splitlines()[-1] == f"Stopped. Your data is in {tmp_path / 'var'}"
    wait_until(lambda: not any(alive(each.pid) for each in family), what=f"the end of {family}")
    refused = typed("audit", "verify", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "devicehub: MONGODB_URI is not set, and no `make run` goes on in var: set it, or start one.\n"
    )


def _it_serves(addresses: dict[str, str]) -> None:
    health = httpx.get(addresses["Health"]).json()
    assert health["dependencies"] == {"mongodb": "connected", "redis": "connected", "queue": "active"}
    assert httpx.get(addresses["Docs"], follow_redirects=True).status_code == 200
    assert "<title>Live" in httpx.get(addresses["Live"]).text
    assert "Sign in" in httpx.get(addresses["Jobs"]).text
    assert "Nobody was mailed yet" in httpx.get(addresses["Mails"]).text
    assert httpx.get(f"{addresses['API']}/devices").status_code == 401


def _commands_find_its_servers(addresses: dict[str, str], folder: Path) -> None:
    admin = {"email": "root@example.com", "password": "correct horse battery"}
    asked = ("--email", admin["email"], "--name", "Root", "--password-stdin")
    made = typed("create-admin", *asked, folder=folder, answer=f"{admin['password']}\n")
    assert made.returncode == 0, made.stderr
    granted = httpx.post(f"{addresses['API']}/auth/login", json=admin).json()
    assert granted["user"]["role"] == "admin"
    assert typed("migrate", folder=folder).stdout == "Nothing to do.\n"
    assert typed("jobs", "cancel", UNKNOWN, folder=folder).stderr == f"Error: No job {UNKNOWN} of yours.\n"
    proved = typed("audit", "verify", folder=folder)
    assert (proved.returncode, proved.stdout.splitlines()[-1]) == (0, "Broken: 0 of 1.")


def typed(*arguments: str, folder: Path, answer: str = "") -> subprocess.CompletedProcess[str]:
    """What a command says that is typed in `folder`."""
    return subprocess.run(
        (sys.executable, "-m", "devicehub.cli", *arguments),
        cwd=folder,
        env=environment(),
        input=answer,
        capture_output=True,
        text=True,
    )
