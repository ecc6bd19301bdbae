"""The doors of the command line: `devicehub postman`."""

import json
from collections.abc import Callable
from typing import TextIO

import click
from flask import Flask

from devicehub.core.config import Settings
from devicehub.monitoring.postman import collection
from devicehub.web import openapi

# What the API is like depends on none of them, and nothing is connected to.
_ANY_SETTINGS = Settings.model_construct(
    mongodb_uri="mongodb://127.0.0.1/devicehub", redis_url="redis://127.0.0.1"
)


@click.command()
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@click.pass_obj
def postman(create_app: Callable[[Settings], Flask], file: TextIO) -> None:
    """Write this version's Postman collection to FILE."""
    create_app(_ANY_SETTINGS)
    json.dump(collection(openapi.spec().to_dict()), file, indent=2, ensure_ascii=False)
    file.write("\n")


commands = (postman,)
