"""Who dies is started again, ever later; and everything ends in order."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from devicehub.embedded import reaper
from devicehub.embedded.children import Child, Program
from devicehub.embedded.supervisor import STEADY_S, Supervisor
from tests.conftest import ROOT, wait_until
from tests.embedded.conftest import alive
from tests.embedded.standin import command

Make = Callable[..., Child]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(said.append)
    yield supervisor
    supervisor.stop()
    assert not [child for child in psutil.Process().children() if reaper.__file__ in child.cmdline()]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A child that is a shell script."""

    def child(script: str, name: str = "child", cwd: Path = tmp_path) -> Child:
        return Child(Program(name=name, command=("/bin/sh", "-c", script), cwd=cwd))

    return child


def die(child: Child) -> None:
    wait_until(lambda: not child.is_running())


def test_it_waits_longer_after_each_death_up_to_half_a_minute(
    supervisor: Supervisor, make: Make, said: list[str]
) -> None:
    child = make("exit 3")
    supervisor.add(child)
    now, pids = time.monotonic(), set()
    for delay in (1, 2, 4, 8, 16, 30, 30):
        die(child)
        pids.add(child.pid)
        supervisor.look(now)
        assert said.pop() == f"child ended (exit code 3); it starts again in {delay} s."
        supervisor.look(now + delay - 0.01)
        assert child.pid in pids
        now += delay
        supervisor.look(now)
        assert child.pid not in pids
    assert said == []


def test_a_while_of_good_health_makes_it_forget(supervisor: Supervisor, make: Make, said: list[str]) -> None:
    child = make("exit 3")
    supervisor.add(child)
    now = time.monotonic()
    for delay in (1, 2):
        die(child)
        supervisor.look(now)
        now += delay
        supervisor.look(now)
    die(child)

    supervisor.look(now + STEADY_S + 1)

    assert said[-1].endswith("in 1 s.")


def test_who_lives_is_left_alone(supervisor: Supervisor, make: Make, said: list[str]) -> None:
    child = make("sleep 60")
    supervisor.add(child)
    before = child.pid

    for later in range(100):
        supervisor.look(time.monotonic() + later)

    assert (child.pid, said, supervisor.dead()) == (before, [], None)


def test_who_runs_already_is_not_started_twice(supervisor: Supervisor, make: Make) -> None:
    child = make("sleep 60")
    child.start()
    before = child.pid

    supervisor.add(child)

    assert child.pid == before


def test_what_a_dead_child_left_behind_ends_before_its_successor(
    supervisor: Supervisor, make: Make, said: list[str]
) -> None:
    child = make("sleep 60 & exit 3")
    supervisor.add(child)
    die(child)
    (left,) = reaper.members({child.pid})

    supervisor.look(time.monotonic())

    wait_until(lambda: not alive(left), what="the end of what it left behind")
    assert supervisor.dead() is child


def test_a_start_that_fails_is_tried_again(
    supervisor: Supervisor, make: Make, said: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    child = make("exit 3", cwd=folder)
    supervisor.add(child)
    die(child)
    folder.rmdir()
    now = time.monotonic() + STEADY_S + 1
    supervisor.look(now)
    for delay, next_delay in ((1, 2), (2, 4), (4, 8)):
        now += delay
        supervisor.look(now)
        assert said[-1].startswith("child cannot start (")
        assert said[-1].endswith(f"; it is tried again in {next_delay} s.")

    folder.mkdir()
    before = child.pid
    supervisor.look(now + 8)
    assert child.pid != before


def test_the_last_tier_stops_first(supervisor: Supervisor, make: Make, tmp_path: Path) -> None:
    script = 'trap "sleep 0.1; echo {name} >> order; exit 0" TERM; : > {name}; while :; do sleep 0.02; done'
    tiers = [["mongod"], ["redis"], ["api", "worker"]]
    for tier in tiers:
        supervisor.add(*(make(script.format(name=name), name) for name in tier))
    wait_until(lambda: all((tmp_path / name).exists() for tier in tiers for name in tier))

    supervisor.stop()

    order = (tmp_path / "order").read_text().split()
    assert set(order[:2]) == {"api", "worker"}
    assert order[2:] == ["redis", "mongod"]


def test_whoever_is_slow_the_rest_is_stopped_too(supervisor: Supervisor, make: Make, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT)}
    slow = Child(Program(name="slow", command=command("stubborn"), environment=environment))
    gentle = make('trap "echo bye > said; exit 0" TERM; : > up; while :; do sleep 0.02; done')
    supervisor.add(gentle)
    supervisor.add(slow)
    wait_until(lambda: (tmp_path / "up").exists() and len(reaper.members({slow.pid})) == 2)

    supervisor.stop()

    assert slow.ending() == "SIGKILL"
    assert gentle.ending() == "exit code 0"
    assert not reaper.members({slow.pid, gentle.pid})


def test_it_goes_on_when_the_reaper_was_killed(supervisor: Supervisor, make: Make, said: list[str]) -> None:
    def found() -> psutil.Process | None:
        mine = psutil.Process().children()
        return next((child for child in mine if reaper.__file__ in child.cmdline()), None)

    helper = wait_until(found, what="the reaper")  # between fork and exec it bears our name
    helper.kill()
    wait_until(lambda: not alive(helper.pid))
    child = make("exit 3")

    supervisor.add(child)
    die(child)
    supervisor.look(time.monotonic())

    assert said == ["child ended (exit code 3); it starts again in 1 s."]
