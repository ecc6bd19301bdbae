"""What a command finds of the run beside it: only what goes on now."""

import subprocess
import sys
from pathlib import Path

import pytest

from devicehub.core import running

TOLD = {"MONGODB_URI": "mongodb://127.0.0.1:1/devicehub"}


def test_what_a_run_was_told_is_found_until_it_ends(tmp_path: Path) -> None:
    assert running.environment_of(tmp_path) == {}
    running.announce(tmp_path, TOLD)
    assert running.environment_of(tmp_path) == TOLD
    running.withdraw(tmp_path)
    running.withdraw(tmp_path)
    assert running.environment_of(tmp_path) == {} and list(tmp_path.iterdir()) == []


def test_of_a_run_that_was_killed_nothing_is_believed(tmp_path: Path) -> None:
    program = f"import pathlib; from devicehub.core import running; running.announce(pathlib.Path({str(tmp_path)!r}), {TOLD})"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert (tmp_path / "run.json").exists()
    assert running.environment_of(tmp_path) == {}


def test_a_run_of_somebody_else_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, _: int) -> None:
        raise PermissionError(pid)

    running.announce(tmp_path, TOLD)
    monkeypatch.setattr("os.kill", refuse)
    assert running.environment_of(tmp_path) == TOLD
