"""The features, ranked: one may know the models, schemas and services of those before it, never of those after."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

FEATURES = (
    "audit",
    "jobs",
    "mail",
    "realtime",
    "users",
    "organizations",
    "auth",
    "devices",
    "logs",
    "notifications",
    "webhooks",
    "analytics",
    "reports",
    "exports",
    "live",
    "console",
    "monitoring",
)


def doors(kind: str) -> Iterator[ModuleType]:
    """The doors of one kind (`routes`, `sockets`, `commands`, `jobs`) of every feature that has it, in order."""
    for feature in FEATURES:
        name = f"devicehub.{feature}.{kind}"
        if find_spec(name) is not None:
            yield import_module(name)
