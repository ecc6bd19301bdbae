"""A terminal that is closed while a line is written on it."""

import io

from devicehub.embedded.screen import Screen


class Closed(io.StringIO):
    def write(self, *_: object) -> int:
        raise OSError(5, "Input/output error")

    flush = write


def test_its_loss_harms_nothing() -> None:
    screen = Screen()
    screen._console.file = Closed()  # type: ignore[assignment]

    screen.say("DeviceHub is healthy.")
