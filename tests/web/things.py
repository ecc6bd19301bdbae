"""Something real for every parameter of a path, and every id in a body or a query, of whichever account."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.factories import MAKE, Account, Ids, make_export
from tests.web.operations import Operation

# By the key of a body or of a query (in camelCase; lists of ids are called like one of them): which id it takes.
MEANS: dict[str, Callable[[Account], str]] = {
    "actor": lambda account: account.actor.user_id,
    "deviceId": lambda account: MAKE["device_id"](account, {}),
    "organizationId": lambda account: account.actor.organization_id,
    "ownerId": lambda account: account.actor.user_id,
    "userId": lambda account: account.actor.user_id,
}
# What is asked of these takes a thing in another state.
OTHERWISE: dict[tuple[str, str], Callable[[Account, Ids], str]] = {
    ("POST /api/export/jobs/{export_id}/cancel", "export_id"): lambda account, _: make_export(
        account.actor, made=False
    )
}


def things_of(account: Account, operation: Operation) -> Ids:
    """What the path of an operation asks for, made for it."""
    made: Ids = {}
    for name in operation.in_path:
        if name not in MAKE:
            pytest.fail(f"{operation}: say in MAKE of tests/factories.py how an account comes to a {name}")
        made[name] = OTHERWISE.get((str(operation), name), MAKE[name])(account, made)
    return made


def among(made: Ids, account: Account, operation: Operation) -> Ids:
    """What the path of an operation asks for, of what was made for all of them: nothing may have touched it since."""
    return {
        name: OTHERWISE[str(operation), name](account, made) if (str(operation), name) in OTHERWISE else made[name]
        for name in operation.in_path
    }


def with_ids_of(account: Account, value: Any, name: str = "") -> Any:
    """A body in which every id is one of the account's own."""
    if isinstance(value, dict):
        return {key: with_ids_of(account, part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [with_ids_of(account, part, name.removesuffix("s")) for part in value]
    return meant(account, name) if is_id(name) else value


def is_id(name: str) -> bool:
    """Whether a key of a body or a query names something by its id."""
    return name in MEANS or name.removesuffix("s").endswith("Id")


def meant(account: Account, name: str) -> str:
    """An id of the account's own for a key of a body or a query."""
    singular = name.removesuffix("s")
    if singular not in MEANS:
        pytest.fail(f"say in MEANS of tests/web/things.py which id a {singular} is")
    return MEANS[singular](account)
