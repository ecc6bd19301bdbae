"""`make run`, whole: real servers and stand-ins for the api and the worker."""

import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pymongo
import pytest
import redis

from tests.conftest import free_port, wait_until
from tests.embedded.conftest import ELSEWHERE, Run, alive

Start = Callable[..., Run]


def test_an_empty_folder_becomes_a_running_whole(run: Start, tmp_path: Path) -> None:
    whole = run()
    whole.says("is healthy")
    told = whole.asks()["environment"]

    with pymongo.MongoClient(told["MONGODB_URI"], serverSelectionTimeoutMS=5000) as client:
        client.get_default_database().devices.insert_one({"_id": 1})
    with redis.Redis.from_url(told["REDIS_URL"]) as connection:
        assert connection.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert told["APP_ENV"] == "development"
    assert told["DEVICEHUB_VAR"] == str(tmp_path / "var")
    assert {entry.name for entry in (tmp_path / "var").iterdir()} >= {"mongod", "redis", "run.lock"}
    whole.says(re.escape(f"Data      {tmp_path}/var"))
    whole.says(r"devicehub'? simulate")  # quoted where the path has a space


def test_ctrl_c_ends_everything_and_keeps_the_data(run: Start, pinned: dict[str, str]) -> None:
    first = run(**pinned)
    addresses = {name: first.asks()["environment"][name] for name in ELSEWHERE}
    with pymongo.MongoClient(addresses["MONGODB_URI"]) as client:
        client.get_default_database().devices.insert_one({"_id": 1})
    with redis.Redis.from_url(addresses["REDIS_URL"]) as connection:
        connection.set("kept", "yes")
    family = first.family()

    assert first.ends(signal.SIGINT) == 0
    assert not any(alive(pid) for pid in family), first.output

    second = run(**pinned)
    assert {name: second.asks()["environment"][name] for name in ELSEWHERE} == addresses
    with pymongo.MongoClient(addresses["MONGODB_URI"]) as client:
        assert client.get_default_database().devices.count_documents({}) == 1
    with redis.Redis.from_url(addresses["REDIS_URL"]) as connection:
        assert connection.get("kept") == b"yes"


def test_a_killed_supervisor_leaves_no_orphan_and_loses_nothing(run: Start, pinned: dict[str, str]) -> None:
    killed = run("api", "stubborn", **pinned)
    told = killed.asks()["environment"]
    with pymongo.MongoClient(told["MONGODB_URI"], w="majority") as client:
        client.get_default_database().devices.insert_one({"_id": 1})
    family = wait_until(lambda: found if len(found := killed.family()) == 6 else None, what="the whole family")

    killed.process.kill()
    killed.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in family), 20, f"the end of {family}")

    again = run(**pinned)
    told_again = again.asks()["environment"]
    assert told_again["PORT"] == told["PORT"]
    with pymongo.MongoClient(told_again["MONGODB_URI"]) as client:
        assert client.get_default_database().devices.count_documents({}) == 1


def test_a_run_right_after_a_kill_waits_for_the_port(quick_run: Start) -> None:
    port = str(free_port())
    killed = quick_run("lingering", "worker", PORT=port)
    assert killed.asks()["environment"]["PORT"] == port
    killed.process.kill()
    killed.process.wait()

    again = quick_run(PORT=port)

    wait_until(lambda: again.output.count("is healthy") == 2, 30, "the second run")
    assert again.asks()["environment"]["PORT"] == port


@pytest.mark.parametrize(
    ("given", "started"),
    [
        ({"MONGODB_URI": ELSEWHERE["MONGODB_URI"]}, {"redis"}),
        ({"REDIS_URL": ELSEWHERE["REDIS_URL"]}, {"mongod"}),
        ({"REDIS_HOST": "127.0.0.1"}, {"mongod"}),
        (ELSEWHERE, set()),
    ],
)
def test_a_server_whose_address_is_given_is_not_started(
    run: Start, tmp_path: Path, given: dict[str, str], started: set[str]
) -> None:
    told = run(**given).asks()["environment"]

    assert {name for name in ("mongod", "redis") if (tmp_path / "var" / name).exists()} == started
    assert {name: told[name] for name in given} == given
    assert ("REDIS_URL" in told) == ("REDIS_HOST" not in given)


def test_addresses_may_come_from_the_env_file(run: Start, tmp_path: Path) -> None:
    lines = (f"{name}={value}\n" for name, value in ELSEWHERE.items())
    (tmp_path / ".env").write_text("".join(lines))

    run().says("is healthy")

    assert not {"mongod", "redis"} & {entry.name for entry in (tmp_path / "var").iterdir()}


def test_a_second_start_says_so_in_one_line(quick_run: Start, tmp_path: Path) -> None:
    first = quick_run()
    first.says(r"Ctrl-C\n\n")
    before = first.output

    second = quick_run()

    assert second.process.wait(30) == 1
    (line,) = second.output.removeprefix(before).splitlines()
    assert line.startswith(f"DeviceHub already runs on {tmp_path}/var.")
    assert first.asks()["status"] == "healthy"


def test_a_chosen_port_that_is_busy_is_refused_before_anything_starts(run: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        refused = run(PORT=str(port))
        assert refused.process.wait(30) == 1

    assert refused.output == f"Port {port} of 127.0.0.1 cannot be used: Address already in use.\n"
    assert not (tmp_path / "var" / "mongod").exists()


def test_the_usual_port_that_is_busy_is_passed_over(quick_run: Start) -> None:
    first = quick_run(DEVICEHUB_VAR="one")
    first.says(r"Ctrl-C\n\n")
    before = first.output
    quick_run(DEVICEHUB_VAR="two")  # it writes to the same output

    port = wait_until(lambda: re.search(r":(\d+)/api", first.output.removeprefix(before)), 30, "the second run")[1]

    assert f":{port}/" not in before


def test_a_wrong_setting_is_one_sentence(run: Start, tmp_path: Path) -> None:
    refused = run(PORT="http")

    assert refused.process.wait(30) == 1
    (line,) = refused.output.splitlines()
    assert line.startswith("PORT: ")


@pytest.mark.parametrize("programs", [("doomed", "worker"), ("sick", "doomed")])
def test_a_program_that_ends_at_the_start_ends_the_run(quick_run: Start, programs: tuple[str, ...]) -> None:
    failed = quick_run(*programs)
    name = "api" if programs[0] == "doomed" else "worker"

    assert failed.process.wait(30) == 1
    assert "I was never meant to live." in failed.output
    assert (
        f"{name} ended (exit code 1) before DeviceHub was healthy; see what it printed above.\n" in failed.output
    )


def test_a_run_that_does_not_get_healthy_says_so_and_goes_on(quick_run: Start) -> None:
    sick = quick_run("sick", "worker", "2")

    sick.says(r"is degraded \(queue inactive\)\.")

    assert sick.asks()["status"] == "degraded"
    assert sick.ends() == 0


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("standin api", "api"), ("standin worker", "worker"), ("mongod", "mongod"), ("redis-server", "redis")],
)
def test_who_dies_is_started_again_at_the_same_address(
    run: Start, pinned: dict[str, str], pattern: str, name: str
) -> None:
    given = {} if name in ("mongod", "redis") else ELSEWHERE
    whole = run(**given, **pinned)
    before = whole.asks()["environment"]
    victim = whole.child(pattern)

    os.kill(victim, signal.SIGKILL)

    whole.says(rf"{name} ended \(SIGKILL\); it starts again in 1 s\.\n")
    wait_until(lambda: whole.child(pattern) != victim, 30, "a successor")
    after = whole.asks()["environment"]
    assert [after[name] for name in ("PORT", *ELSEWHERE)] == [before[name] for name in ("PORT", *ELSEWHERE)]
    if name == "mongod":
        with pymongo.MongoClient(after["MONGODB_URI"], serverSelectionTimeoutMS=20_000) as client:
            assert client.get_default_database().devices.insert_one({}).acknowledged
    assert whole.output.count("it starts again") == 1


def test_sigterm_ends_it_too_with_streams_open(quick_run: Start) -> None:
    whole = quick_run()
    with httpx.stream("GET", f"{whole.url}/stream") as stream:
        assert stream.status_code == 200
        family = whole.family()
        assert whole.ends(signal.SIGTERM) == 0
    assert not any(alive(pid) for pid in family)


def test_who_refuses_to_end_is_ended_with_all_it_started(quick_run: Start) -> None:
    whole = quick_run("api", "stubborn")
    family = wait_until(lambda: found if len(found := whole.family()) == 4 else None, what="the whole family")

    assert whole.ends() == 0
    assert not any(alive(pid) for pid in family)


def test_a_second_ctrl_c_ends_everything_at_once(quick_run: Start) -> None:
    whole = quick_run("api", "stubborn")
    family = wait_until(lambda: found if len(found := whole.family()) == 4 else None, what="the whole family")
    whole.process.send_signal(signal.SIGINT)
    whole.says("Stopping")

    assert whole.ends() == 0
    assert "Stopped." not in whole.output
    assert not any(alive(pid) for pid in family)


def test_a_second_sigterm_changes_nothing(quick_run: Start) -> None:
    """make passes on what its whole group was sent."""
    whole = quick_run("api", "stubborn")
    wait_until(lambda: len(whole.family()) == 4, what="the whole family")
    whole.says("is healthy")
    whole.process.send_signal(signal.SIGTERM)
    whole.says("Stopping")

    assert whole.ends(signal.SIGTERM) == 0
    assert "Stopped." in whole.output


def test_a_folder_it_may_not_use_is_one_line(run: Start) -> None:
    refused = run(DEVICEHUB_VAR="/proc/var")

    assert refused.process.wait(30) == 1
    (line,) = refused.output.splitlines()
    assert line.startswith("DeviceHub cannot run here: ")
    assert "/proc/var" in line


def test_ctrl_c_while_starting_ends_it(quick_run: Start) -> None:
    starting = quick_run("sick", "worker")
    family = wait_until(lambda: found if len(found := starting.family()) == 3 else None, what="api and worker")

    assert starting.ends() == 0
    assert "is degraded" not in starting.output
    assert not any(alive(pid) for pid in family)


def test_two_runs_on_two_folders_do_not_meet(run: Start, tmp_path: Path) -> None:
    first = run(DEVICEHUB_VAR="one")
    told = first.asks()["environment"]
    second = run(DEVICEHUB_VAR="two")
    wait_until(lambda: first.output.count("is healthy") == 2, 30, "the second run")

    assert second.process.poll() is None
    ports = {
        (tmp_path / folder / name / "port").read_text()
        for folder in ("one", "two")
        for name in ("mongod", "redis")
    }
    assert len(ports) == 4
    assert told["MONGODB_URI"] != ELSEWHERE["MONGODB_URI"]


def test_host_says_where_to_listen(quick_run: Start) -> None:
    port = free_port()
    whole = quick_run(DEVICEHUB_HOST="0.0.0.0", PORT=str(port))  # noqa: S104

    assert whole.url == f"http://127.0.0.1:{port}"
    whole.says(rf" simulate --url http://127\.0\.0\.1:{port}\n")
    assert whole.asks()["status"] == "healthy"
