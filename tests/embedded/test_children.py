"""A child cannot outlive us, hears no Ctrl-C that is not meant for it, and ends with all it started."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from devicehub.embedded import bound, reaper
from devicehub.embedded.children import Child, Program, held
from devicehub.embedded.errors import FolderInUse
from tests.conftest import ROOT, wait_until
from tests.embedded.conftest import alive
from tests.embedded.standin import command

Start = Callable[..., Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a shell script, or a command; none outlives the test."""
    started: list[Child] = []

    def run(script: str | tuple[str, ...], **more: object) -> Child:
        words = script if isinstance(script, tuple) else ("/bin/sh", "-c", script)
        program = Program(name="child", command=words, cwd=tmp_path, log=tmp_path / "log", **more)  # type: ignore[arg-type]
        started.append(Child(program))
        started[-1].start()
        return started[-1]

    yield run
    for child in started:
        child.kill()


def ended(child: Child) -> str:
    wait_until(lambda: not child.is_running())
    return child.ending()


def test_it_is_what_it_was_told_to_be(start: Start, tmp_path: Path) -> None:
    child = start('echo "$GREETING from $(pwd)"; exit 3', environment={"GREETING": "hello"})

    assert ended(child) == "exit code 3"
    assert (tmp_path / "log").read_text() == f"hello from {tmp_path}\n"


def test_it_reads_nothing_and_leads_a_session_of_its_own(start: Start) -> None:
    child = start("cat; sleep 60")

    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    wait_until(
        lambda: len(reaper.members({child.pid})) == 2 and "sleep" in str(psutil.Process(child.pid).children())
    )


def test_a_new_run_keeps_the_words_of_the_one_before(start: Start, tmp_path: Path) -> None:
    ended(start("echo first"))
    ended(start("echo second"))

    assert (tmp_path / "log").read_text() == "second\n"
    assert (tmp_path / "log.1").read_text() == "first\n"


def test_a_program_that_is_not_there_says_so(start: Start, tmp_path: Path) -> None:
    assert ended(start(("/nowhere/mongod",))) == "exit code 1"
    assert (tmp_path / "log").read_text() == "/nowhere/mongod: No such file or directory\n"


def test_stopping_is_gentle_first(start: Start, tmp_path: Path) -> None:
    child = start('trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done')
    wait_until(lambda: (tmp_path / "log").read_text())

    child.stop()

    assert child.ending() == "exit code 0"
    assert (tmp_path / "log").read_text() == "up\nbye\n"


def test_who_does_not_stop_is_killed_with_all_it_started(start: Start) -> None:
    child = start(command("stubborn"), environment={"PYTHONPATH": str(ROOT)})
    family = wait_until(lambda: found if len(found := reaper.members({child.pid})) == 2 else None)

    child.stop(0.1)

    assert child.ending() == "SIGKILL"
    wait_until(lambda: not any(alive(pid) for pid in family), what="the end of the grandchild")


def test_stopping_twice_or_before_the_start_does_nothing(start: Start) -> None:
    child = start("sleep 60")
    child.stop()
    child.stop()
    child.kill()
    never = Child(child.program)
    never.stop()

    assert child.ending() == "SIGTERM"
    assert never.exit_code() is None
    with pytest.raises(RuntimeError, match="never started"):
        _ = never.pid
    with pytest.raises(RuntimeError, match="has not ended"):
        never.ending()


def test_a_thread_may_not_start_one_for_it_would_end_with_the_thread(start: Start) -> None:
    errors: list[BaseException] = []

    def try_it() -> None:
        try:
            start("sleep 60")
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()

    assert [str(error) for error in errors] == ["children are started from the main thread only"]


def test_the_lock_is_the_childs_own_as_long_as_it_lives(start: Start, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    child = start("sleep 60", lock=lock)

    with pytest.raises(FolderInUse):
        held(lock, seconds=0)
    child.kill()
    held(lock, seconds=0).close()


PARENT = """
import signal, sys
from devicehub.embedded.children import Child, Program
child = Child(Program(name="child", command=("/bin/sleep", "60")))
child.start()
print(child.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_parent(number: signal.Signals) -> None:
    parent = subprocess.Popen((sys.executable, "-c", PARENT), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    with parent.stdout as words:
        child = int(words.readline())
    wait_until(lambda: psutil.Process(child).name() == "sleep")

    parent.send_signal(number)
    parent.wait()

    wait_until(lambda: not alive(child), what="the end of the child")


def test_whose_parent_died_before_it_could_ask_does_not_begin() -> None:
    """Between the fork and the request to the kernel, a parent may be gone."""
    code = f"from devicehub.embedded import bound; bound.become({os.getpid()} + 1, 9, '/bin/echo', 'begun')"

    orphan = subprocess.run((sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True)

    assert (orphan.returncode, orphan.stdout) == (1, "")


def test_becoming_keeps_the_process(tmp_path: Path) -> None:
    code = f"from devicehub.embedded import bound; bound.become({os.getpid()}, 9, '/bin/sh', '-c', 'echo $$')"

    begun = subprocess.Popen((sys.executable, "-c", code), cwd=ROOT, stdout=subprocess.PIPE, text=True)

    assert begun.communicate()[0] == f"{begun.pid}\n"
    assert Path(bound.__file__).exists()


def test_the_reaper_ends_the_last_named_and_nobody_else(start: Start) -> None:
    spared, named = start("sleep 60"), start(command("stubborn"), environment={"PYTHONPATH": str(ROOT)})
    family = wait_until(lambda: found if len(found := reaper.members({named.pid})) == 2 else None)
    lines = f"{spared.pid} {named.pid}\n{named.pid}\n"

    code = "from devicehub.embedded import reaper; reaper.main(0.1)"
    subprocess.run((sys.executable, "-c", code), cwd=ROOT, input=lines, text=True, check=True)

    wait_until(lambda: not any(alive(pid) for pid in family), what="the end of the named")
    assert spared.is_running()
