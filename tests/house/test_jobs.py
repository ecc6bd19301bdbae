"""Every job that is asked for somewhere is declared somewhere, and every reaction is one to something that happens."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from croniter import croniter

from devicehub import reactions
from devicehub.features import FEATURES
from tests.conftest import ROOT

# It asks a process of its own, once.
pytestmark = pytest.mark.xdist_group("jobs of the house")
SOURCES = sorted((ROOT / "devicehub").rglob("*.py"))
# A process of its own: in ours, tests declare jobs too.
PROGRAM = """
from devicehub.features import doors
from devicehub.jobs import registry
for door in doors("jobs"):
    pass
for job in registry._registered.values():
    print(job.name, job.work.__module__)
"""


def calls(*functions: str) -> Iterator[str]:
    """The texts that some function is called with first, wherever it is."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in functions:
                    yield str(node.args[0].value)


@pytest.fixture(scope="module")
def declared() -> dict[str, str]:
    """The jobs there are, and the modules that declare them."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def test_every_job_that_is_asked_for_is_declared(declared: dict[str, str]) -> None:
    asked = {name for names in reactions.ON.values() for name in names} | {*reactions.EVERY} | {*calls("enqueue")}
    assert asked - {*declared} == set()


def test_a_job_is_declared_by_the_feature_it_is_named_after(declared: dict[str, str]) -> None:
    for name, module in declared.items():
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", name)
        assert module == f"devicehub.{name.partition('.')[0]}.jobs"
        assert name.partition(".")[0] in FEATURES


def test_every_reaction_is_one_to_an_event_that_somebody_tells() -> None:
    assert {*reactions.ON} - {*calls("emit", "Event", "tell", "_tell")} == set()


def test_every_schedule_comes_again_before_its_last_job_is_forgotten() -> None:
    """Jobs are kept for 30 days, and the key of a job is what keeps its period from beginning twice."""
    for cron in reactions.EVERY.values():
        times = croniter(cron, datetime(2026, 1, 1, tzinfo=UTC))
        starts = [times.get_next(datetime) for _ in range(30)]
        assert max(later - sooner for sooner, later in pairwise(starts)) < timedelta(days=30)
