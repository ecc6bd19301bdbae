"""What the tests of the edge share."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from devicehub.core import logging
from devicehub.core.config import Settings


@pytest.fixture
def logged(app: Flask, settings: Settings, tmp_path: Path) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """What the process has logged since the test began; of one event if it is named: `logged("request")`."""
    path = tmp_path / "log"
    logging.setup(settings.model_copy(update={"log_file": path, "log_level": "INFO"}))

    def read(event: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    yield read
    logging.setup(settings)
