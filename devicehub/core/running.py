"""A run (`make run`) as a command typed beside it finds it: what its processes were told, kept in `var/run.json`.

The supervisor writes it when its servers are up and takes it away when it ends; of one that was killed nothing is
believed, since another server may have its ports by now.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "run.json"


def announce(var: Path, environment: Mapping[str, str]) -> None:
    """Say that this process is a run in `var`, and what its children are told."""
    draft = var / f"{_NAME}.new"
    draft.write_text(json.dumps({"pid": os.getpid(), "environment": dict(environment)}))
    draft.replace(var / _NAME)


def withdraw(var: Path) -> None:
    """Take `announce` back."""
    (var / _NAME).unlink(missing_ok=True)


def environment_of(var: Path) -> dict[str, str]:
    """What the processes of the run that goes on in `var` were told; empty when none does."""
    try:
        told = json.loads((var / _NAME).read_text())
        os.kill(told["pid"], 0)
    except (FileNotFoundError, ProcessLookupError):
        return {}
    except PermissionError:  # it lives, and is somebody else's
        pass
    environment: dict[str, str] = told["environment"]
    return environment
