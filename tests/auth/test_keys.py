"""What both kinds of keys share: a place for each while it lives."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from devicehub.auth import keys
from devicehub.auth.errors import TooManyKeys
from devicehub.devices import keys as device_keys
from devicehub.devices.models import DeviceKey
from tests.factories import make_device

AT_ONCE = 4


@pytest.mark.actor()
def test_of_four_that_saw_three_free_places_exactly_three_get_one(
    actor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device_id, barrier, look = make_device(actor)["id"], Barrier(AT_ONCE), keys.taken

    def look_together(*args: Any) -> set[int]:
        found = look(*args)
        if not found:
            barrier.wait(10)  # nobody goes on before all have seen that there is room
        return found

    def make(_: int) -> str:
        try:
            return device_keys.create(actor, device_id)[1]
        except TooManyKeys:
            return "too many"

    monkeypatch.setattr(keys, "taken", look_together)
    with ThreadPoolExecutor(AT_ONCE) as callers:
        outcomes = list(callers.map(make, range(AT_ONCE)))
    assert outcomes.count("too many") == 1
    assert len(set(outcomes)) == AT_ONCE
    assert sorted(key.slot for key in DeviceKey.objects) == [0, 1, 2]


@pytest.mark.actor()
def test_a_place_is_free_again_when_its_key_ends(actor: Any) -> None:
    device_id = make_device(actor)["id"]
    made = [device_keys.create(actor, device_id)[0] for _ in range(3)]
    device_keys.revoke(actor, device_id, str(made[1].id))
    assert device_keys.create(actor, device_id)[0].slot == made[1].slot


def test_no_two_are_alike() -> None:
    made = [keys.make(device_keys.KIND) for _ in range(100)]
    for part in ("id", "text", "hash"):
        assert len({getattr(one, part) for one in made}) == 100
