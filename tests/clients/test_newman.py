"""newman runs the Postman collection against the whole of DeviceHub."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import CLIENTS
from tests.conftest import ROOT

COLLECTION = ROOT / "postman/devicehub.postman_collection.json"
ITEMS = [item for folder in json.loads(COLLECTION.read_text())["item"] for item in folder["item"]]
REQUESTS = {item["name"] for item in ITEMS}
SKIPPED = {item["name"] for item in ITEMS if "skipRequest" in json.dumps(item["event"])}


@pytest.fixture
def run_collection(url: str, tmp_path: Path) -> Any:
    """Run it once; what newman reports."""

    def run() -> Any:
        report = tmp_path / "report.json"
        newman = str(CLIENTS / "node_modules/.bin/newman")
        told = ["--env-var", f"baseUrl={url}", "--reporters", "json", "--reporter-json-export", str(report)]
        done = subprocess.run(
            [newman, "run", str(COLLECTION), *told], capture_output=True, text=True, timeout=60, check=False
        )
        reported = json.loads(report.read_text())["run"]
        assert done.returncode == 0, [
            (one["source"]["name"], one["error"]["message"]) for one in reported["failures"]
        ]
        return reported

    return run


def test_every_request_is_green_and_again(run_collection: Any) -> None:
    for _ in range(2):
        run = run_collection()
        assert run["failures"] == []
        assert {execution["item"]["name"] for execution in run["executions"]} == REQUESTS - SKIPPED
        for execution in run["executions"]:
            asserted = execution["assertions"]
            assert asserted, f"{execution['item']['name']} asserts nothing"
            assert not any(assertion["skipped"] or "error" in assertion for assertion in asserted)
