"""What both kinds of keys share: a place for each while it lives, and being read together."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from devicehub.auth import api_keys, keys
from devicehub.auth.errors import InvalidToken, TooManyKeys
from devicehub.auth.models import ApiKey
from devicehub.core import clock, redis
from devicehub.devices import keys as device_keys
from devicehub.devices.models import DeviceKey
from tests.factories import make_account, make_api_key, make_device, make_device_key

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


@pytest.mark.usefixtures("app")
def test_keys_that_come_at_the_same_time_are_each_whose_they_are() -> None:
    """Of many organizations, of both kinds, known and unknown, and asked of MongoDB every time."""
    people = [make_account().actor for _ in range(8)]
    of_devices = {one.organization_id: make_device_key(one, make_device(one)["id"]) for one in people}
    of_people = {one.organization_id: make_api_key(one) for one in people}

    def prove(number: int) -> None:
        one = people[number % len(people)]
        redis.current().client.delete(*(f"key:{key[:28]}" for key in of_devices.values()))
        device_key, api_key = of_devices[one.organization_id], of_people[one.organization_id]
        device, person = device_keys.identify(device_key), api_keys.identify(api_key)
        assert (device.kind, device.organization_id) == ("device", one.organization_id)
        assert (person.kind, person.user_id) == ("api_key", one.user_id)
        for swapped in (device_key.replace("dhd_", "dhk_"), api_key.replace("dhk_", "dhd_")):
            identify = api_keys.identify if swapped.startswith("dhk_") else device_keys.identify
            with pytest.raises(InvalidToken):
                identify(swapped)

    with ThreadPoolExecutor(len(people)) as callers:
        list(callers.map(prove, range(64)))


def test_one_id_in_two_collections_is_two_keys(app: Any) -> None:
    one = keys.make(device_keys.KIND)
    owner = {"organization_id": one.id, "created_by": one.id, "created_at": clock.now()}
    DeviceKey(id=one.id, hash="device's", device_id=one.id, **owner).save()
    ApiKey(id=one.id, hash="person's", user_id=one.id, name="One", **owner).save()
    found = keys._read_together([(DeviceKey, one.id), (ApiKey, one.id), (ApiKey, keys.make(api_keys.KIND).id)])
    assert [row and row["hash"] for row in found] == ["device's", "person's", None]
