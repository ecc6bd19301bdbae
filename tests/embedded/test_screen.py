"""A terminal that is closed while a line is written on it."""

import io
from collections.abc import Sequence

import pytest
from rich.console import Console, ConsoleRenderable

from devicehub.embedded.screen import Screen


class Closed(io.StringIO):
    def write(self, *_: object) -> int:
        raise OSError(5, "Input/output error")

    flush = write


class HangUp:
    def process_renderables(self, _: Sequence[ConsoleRenderable]) -> list[ConsoleRenderable]:
        raise KeyboardInterrupt


def closed_screen() -> tuple[Screen, Console]:
    screen = Screen()
    screen._console.file = Closed()  # type: ignore[assignment]
    return screen, screen._console


def test_its_loss_harms_nothing() -> None:
    screen, _ = closed_screen()

    screen.say("DeviceHub is healthy.")


def test_the_signal_of_its_loss_is_heard_in_the_middle_of_a_line() -> None:
    screen, console = closed_screen()
    console.push_render_hook(HangUp())

    with pytest.raises(KeyboardInterrupt):
        screen.say("DeviceHub is healthy.")
