"""Ports: whose they are, and which one comes next."""

import socket
from pathlib import Path

import pytest

from devicehub.embedded import ports
from devicehub.embedded.errors import PortBusy


def test_a_busy_port_is_told_and_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        busy = stranger.getsockname()[1]
        assert not ports.is_free(busy)
        assert busy not in list(ports.free_from(busy))
        with pytest.raises(PortBusy, match=f"^Port {busy} of 127.0.0.1 cannot be used: Address already in use.$"):
            ports.listen(busy)
        with ports.listen_near(busy) as ours:
            assert ours.getsockname()[1] > busy


def test_a_stranger_on_every_address_is_seen_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as stranger:  # noqa: S104
        assert not ports.is_free(stranger.getsockname()[1])


def test_the_ports_end_at_65535(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(port <= 65535 for port in ports.free_from(65500))
    monkeypatch.setattr(ports, "TRIES", 0)
    with pytest.raises(PortBusy, match="No free port from 65500 on"):
        ports.listen_near(65500)


@pytest.mark.parametrize(("text", "port"), [("27017\n", 27017), ("", None), ("not a port", None)])
def test_what_is_remembered_is_read_with_care(tmp_path: Path, text: str, port: int | None) -> None:
    (tmp_path / "port").write_text(text)

    assert ports.remembered(tmp_path / "port") == port


def test_remembering_replaces_what_was_there(tmp_path: Path) -> None:
    assert ports.remembered(tmp_path / "port") is None
    for port in (1, 2):
        ports.remember(tmp_path / "port", port)

    assert ports.remembered(tmp_path / "port") == 2
    assert [file.name for file in tmp_path.iterdir()] == ["port"]


def test_to_ask_who_serves_a_port_takes_it_from_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        assert ports.is_served(port)
    assert not ports.is_served(port)
    assert ports.is_free(port)
