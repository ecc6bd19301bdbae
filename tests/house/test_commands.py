"""Every command of `devicehub`, whatever feature it is of."""

from collections.abc import Iterator

import click
from click.testing import CliRunner

from devicehub import cli


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            yield (*path, name)
            if isinstance(found, click.Group):
                yield from commands(found, *path, name)


def test_its_help_asks_for_no_settings() -> None:
    found = list(commands(cli.devicehub))
    assert ("jobs", "cancel") in found
    for path in found:
        told = CliRunner().invoke(cli.devicehub, [*path, "--help"], obj=None, env={"APP_ENV": "production"})
        assert told.exit_code == 0, f"{path}: {told.output} {told.exception}"
        assert told.output.startswith("Usage: ")
