"""The README's quick start, typed in exactly as it is printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devicehub.core.config import Settings
from tests.conftest import NO_LIMITS, ROOT, LiveServer, empty

# It is typed in once, in one of the parallel workers.
pytestmark = pytest.mark.xdist_group("quickstart")


def printed() -> str:
    """Every line a reader is told to type, in order."""
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n## Quick start\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S))


def path_with_curl(folder: Path) -> str:
    """PATH, with a stand-in for curl where there is none."""
    if shutil.which("curl") is None:
        stand_in = folder / "curl"
        stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/e2e/curl.py" "$@"\n')
        stand_in.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="module")
def said(serve: Callable[..., LiveServer], _application: object, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What it prints, on a server with the limits everyone has."""
    empty()
    limits = {name.upper(): str(Settings.model_fields[name].default) for name in NO_LIMITS}
    environment = {"PATH": path_with_curl(tmp_path_factory.mktemp("bin")), "BASE": serve(**limits).url}
    command = ["sh", "-eu", "-c", printed()]
    typed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (typed.returncode, typed.stderr) == (0, "")
    return typed.stdout


def test_an_account_and_its_organization_are_made(said: str) -> None:
    made = json.loads(said.splitlines()[0])
    assert made["user"]["email"] == "ada@example.com"
    assert made["organization"]["role"] == "owner"


def test_a_device_is_registered_and_comes_alive(said: str) -> None:
    device_id = re.search(r"^registered ([0-9a-f]{24})$", said, re.M)
    assert device_id
    [beat] = [json.loads(line) for line in said.splitlines() if line.startswith('{"deviceId":')]
    assert beat["deviceId"] == device_id[1]
    assert beat["presence"] == "online"


def test_the_list_shows_it_and_its_cache(said: str) -> None:
    assert re.findall(r"^X-Cache: (\w+)", said, re.M) == ["MISS", "HIT"]
    [listed] = re.findall(r"^\{$.*?^\}$", said, re.M | re.S)
    [device] = json.loads(listed)["items"]
    assert device["name"] == "Boiler room sensor"
    assert device["metrics"] == {"temperature": 21.5}
    assert device["firmwareVersion"] == "1.4.2"


def test_live_events_are_heard(said: str) -> None:
    heard = re.findall(r"^event: (.*)\ndata: (.*)$", said, re.M)
    assert heard[0][0] == "connected"
    beats = [json.loads(data)["metrics"]["temperature"] for name, data in heard if name == "device-heartbeat"]
    assert beats
    assert beats == sorted(beats)
