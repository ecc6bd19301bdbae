"""Logs: one object a line, nothing secret, nothing forged, and a file that does not grow for ever."""

import io
import json
import logging as standard
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from devicehub.core import logging
from devicehub.core.config import Settings

Lines = Callable[[], list[dict[str, Any]]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def log_to(settings: Settings) -> Iterator[Callable[..., None]]:
    """Set logging up anew with other settings, until the test is over."""
    yield lambda **changes: logging.setup(settings.model_copy(update={"log_level": "INFO"} | changes))
    logging.setup(settings)


@pytest.fixture
def lines(log_to: Callable[..., None], tmp_path: Path) -> Lines:
    """What is logged from now on, read back from LOG_FILE."""
    path = tmp_path / "logs" / "api.log"
    log_to(log_file=path)
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_object_with_its_facts_level_logger_and_time(lines: Lines) -> None:
    structlog.get_logger("devicehub.test").warning("something.happened", count=3)
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "something.happened", "count": 3, "level": "warning", "logger": "devicehub.test"}


def test_what_libraries_log_looks_the_same(lines: Lines) -> None:
    standard.getLogger("a.library").warning("it took %s s", 3, extra={"password": "hunter2"})
    [line] = lines()
    assert (line["event"], line["logger"], line["level"]) == ("it took 3 s", "a.library", "warning")
    assert line["password"] == "***"


@pytest.mark.parametrize(
    "name", ["password", "accessToken", "client_secret", "OTP", "Authorization", "set-cookie", "api_key", "_token"]
)
def test_what_names_a_secret_is_masked_however_deep_it_lies(lines: Lines, name: str) -> None:
    deep = {"outer": {"list": [{name: "hunter2"}, ({name: ["hunter2"]},)]}}
    structlog.get_logger().info("seen", **{name: "hunter2"}, changes=deep)
    [line] = lines()
    assert "hunter2" not in json.dumps(line)
    assert line[name] == line["changes"]["outer"]["list"][0][name] == "***"


@pytest.mark.parametrize("break_", ["\n", "\r", "\x1b[2J", "\x00", "\u0085", "\u2028"])
def test_what_a_client_sent_never_makes_a_line_of_its_own(
    log_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch, break_: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    log_to()
    structlog.get_logger().info("seen", name=f"x{break_}forged", deep={"list": [f"x{break_}forged"]})
    [line] = [line for line in terminal.getvalue().splitlines() if "forged" in line]
    assert break_ not in line and "seen" in line


def test_an_exception_keeps_its_trace_within_its_one_line(lines: Lines) -> None:
    try:
        raise RuntimeError("inside")
    except RuntimeError:
        structlog.get_logger().exception("request.failed")
    [line] = lines()
    assert "RuntimeError: inside" in line["exception"] and "Traceback" in line["exception"]


@pytest.mark.parametrize(
    ("app_env", "stream", "is_pretty"),
    [("development", Terminal, True), ("development", io.StringIO, False), ("production", Terminal, False)],
)
def test_only_a_person_at_a_terminal_in_development_is_shown_pretty_lines(
    log_to: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    app_env: str,
    stream: type[io.StringIO],
    is_pretty: bool,
) -> None:
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    log_to(app_env=app_env)
    structlog.get_logger().info("seen")
    [line] = out.getvalue().splitlines()
    assert line.startswith("{") is not is_pretty and "seen" in line


def test_the_file_begins_anew_when_it_is_full_and_keeps_the_old_ones(
    log_to: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "api.log"
    path.write_bytes(b"old\n" * (10 << 18))
    log_to(log_file=path)
    structlog.get_logger().info("new")
    assert path.with_name("api.log.1").read_bytes().startswith(b"old")
    assert json.loads(path.read_text())["event"] == "new"


def test_what_is_below_the_level_is_not_written(log_to: Callable[..., None], tmp_path: Path) -> None:
    log_to(log_file=tmp_path / "log", log_level="WARNING")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert "quiet" not in (tmp_path / "log").read_text()
    assert "loud" in (tmp_path / "log").read_text()
