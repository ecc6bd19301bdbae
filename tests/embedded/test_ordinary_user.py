"""Nothing needs root: the servers of the wheels run as whoever starts them."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, free_port

USER = "nobody" if os.geteuid() == 0 else None  # None: as whom we are, who is ordinary
SCRIPT = """
import json, os, sys
from pathlib import Path
import psutil, pymongo
from devicehub.embedded.processes import start_mongod, start_redis

folder, *ports = sys.argv[1:]
servers = start_mongod(Path(folder), port=int(ports[0])), start_redis(Path(folder), port=int(ports[1]))
with pymongo.MongoClient(servers[0].url) as client:
    client.devicehub.devices.insert_one({})
print(json.dumps([os.geteuid(), *(psutil.Process(server.pid).uids().effective for server in servers)]))
for server in servers:
    server.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the ordinary user's; pytest's own are closed to everyone else."""
    made = Path(tempfile.mkdtemp(prefix="devicehub-"))
    if USER:
        shutil.chown(made, USER)
    yield made
    shutil.rmtree(made)


def python() -> str:
    """A Python that USER may run: this one, or the system's of the same version when this one lies in a closed home."""
    candidates = (sys.executable, f"/usr/bin/python{sysconfig.get_python_version()}")
    for candidate in candidates:
        try:
            subprocess.run((candidate, "-c", "import ssl"), user=USER, cwd="/", check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.fail(f"{USER} may run none of {candidates}")


def test_an_ordinary_user_can_start_both(folder: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}", "PATH": "", "HOME": "/nonexistent"}
    command = (python(), "-c", SCRIPT, str(folder), str(free_port()), str(free_port()))

    ran = subprocess.run(command, user=USER, cwd="/", env=environment, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stderr
    users = json.loads(ran.stdout)
    assert len(set(users)) == 1
    assert users[0] != 0
