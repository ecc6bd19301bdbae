"""Something real for every parameter of a path, and every id in a body or a query, of whichever account."""

from collections.abc import Callable
from typing import Any

import pytest

from devicehub.auth import api_keys
from devicehub.devices import keys as device_keys
from tests.factories import Account, make_device
from tests.web.operations import Operation

Ids = dict[str, str]

# By the parameter of the path: how to make one of an account's own. What lies within another comes after it.
MAKE: dict[str, Callable[[Account, Ids], str]] = {
    "organization_id": lambda account, _: account.actor.organization_id,
    "device_id": lambda account, _: str(make_device(account.actor)["id"]),
    "key_id": lambda account, ids: str(device_keys.create(account.actor, ids["device_id"])[0].id),
    "api_key_id": lambda account, _: str(api_keys.create(account.actor, name="One", scopes=["logs:read"])[0].id),
}

# By the key of a body or of a query (in camelCase; lists of ids are called like one of them): which id it takes.
MEANS: dict[str, Callable[[Account], str]] = {
    "deviceId": lambda account: MAKE["device_id"](account, {}),
    "organizationId": lambda account: account.actor.organization_id,
    "ownerId": lambda account: account.actor.user_id,
    "userId": lambda account: account.actor.user_id,
}


def things_of(account: Account, operation: Operation) -> Ids:
    """What the path of an operation asks for, made for it."""
    made: Ids = {}
    for name in operation.in_path:
        if name not in MAKE:
            pytest.fail(f"{operation}: say in MAKE of tests/web/things.py how an account comes to a {name}")
        made[name] = MAKE[name](account, made)
    return made


def with_ids_of(account: Account, value: Any, name: str = "") -> Any:
    """A body in which every id is one of the account's own."""
    if isinstance(value, dict):
        return {key: with_ids_of(account, part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [with_ids_of(account, part, name.removesuffix("s")) for part in value]
    return meant(account, name) if is_id(name) else value


def is_id(name: str) -> bool:
    """Whether a key of a body or a query names something by its id."""
    return name.removesuffix("s").endswith("Id")


def meant(account: Account, name: str) -> str:
    """An id of the account's own for a key of a body or a query."""
    singular = name.removesuffix("s")
    if singular not in MEANS:
        pytest.fail(f"say in MEANS of tests/web/things.py which id a {singular} is")
    return MEANS[singular](account)
