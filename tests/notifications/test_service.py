"""What is kept for one person: once, the last hundred of it, however many write at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from bson import ObjectId

from devicehub.core.events import Event
from devicehub.core.paging import After
from devicehub.notifications import service as notifications
from devicehub.notifications.models import Box
from devicehub.notifications.service import MOST, News
from devicehub.users import preferences
from tests.factories import Account, join, make_account

pytestmark = pytest.mark.actor()


def news(number: int = 0, **facts: Any) -> News:
    return News("report", f"News {number}", "Something has happened.", {"number": number}, **facts)


def told_of(told: list[Event]) -> list[Event]:
    return [event for event in told if event.name == "notification.created"]


def numbers(account: Account) -> list[int]:
    found = notifications.find(account.actor, After(limit=MOST))
    return [item["data"]["number"] for item in found.rows]


def test_it_is_told_after_it_was_written(account: Account, told: list[Event]) -> None:
    assert notifications.notify(account.actor.user_id, news(1), key="a")
    [event] = told_of(told)
    [item] = Box.objects.get(id=account.actor.user_id).items
    assert event.data["notification_id"] == str(item["id"])
    assert event.actor.organization_id == account.actor.organization_id


def test_heard_twice_it_is_told_once(account: Account, told: list[Event]) -> None:
    assert [notifications.notify(account.actor.user_id, news(), key="a") for _ in range(3)] == [True, False, False]
    assert len(numbers(account)) == len(told_of(told)) == 1


def test_what_was_cleared_is_not_told_again(account: Account) -> None:
    notifications.notify(account.actor.user_id, news(), key="a")
    notifications.clear(account.actor)
    assert not notifications.notify(account.actor.user_id, news(), key="a")
    assert numbers(account) == []


def test_the_same_event_may_be_news_for_several(account: Account) -> None:
    other = make_account()
    for one in (account, other):
        assert notifications.notify(one.actor.user_id, news(), key="a")
    assert numbers(other) == [0]


def test_the_last_hundred_are_kept(account: Account) -> None:
    for number in range(MOST + 5):
        notifications.notify(account.actor.user_id, news(number), key=str(number))
    assert numbers(account) == list(range(MOST + 4, 4, -1))


def test_a_hundred_it_stays_however_many_write_at_once(account: Account) -> None:
    """And each of them is told of once, also when two tell it."""

    def tell(number: int) -> bool:
        return notifications.notify(account.actor.user_id, news(number % 130), key=str(number % 130))

    with ThreadPoolExecutor(8) as writers:
        assert sum(writers.map(tell, range(260))) == 130
    assert len(set(numbers(account))) == len(numbers(account)) == MOST


def test_a_box_that_several_make_at_once_holds_what_each_has(app: Any) -> None:
    start = Barrier(8)

    def tell(user_id: str, number: int) -> bool:
        start.wait(10)
        return notifications.notify(user_id, news(number), key=str(number))

    with ThreadPoolExecutor(8) as writers:
        for _ in range(20):
            account = make_account()
            assert all(writers.map(tell, [account.actor.user_id] * 8, range(8)))
            assert sorted(numbers(account)) == list(range(8))


def test_what_is_not_wanted_is_not_kept(account: Account, told: list[Event]) -> None:
    preferences.update(account.actor.user_id, {"in_app": {"report": False}})
    assert not notifications.notify(account.actor.user_id, news(), key="a")
    assert numbers(account) == [] and told_of(told) == []
    assert notifications.notify(account.actor.user_id, News("security", "Look", "Here."), key="b")


def test_what_concerns_the_account_is_heard_in_all_organizations(account: Account, told: list[Event]) -> None:
    other = make_account().actor.organization_id
    join(account, other, role="viewer")
    notifications.notify(account.actor.user_id, news(), key="a")
    assert {event.actor.organization_id for event in told_of(told)} == {account.actor.organization_id, other}
    assert len({event.data["notification_id"] for event in told_of(told)}) == 1


def test_what_is_of_one_organization_is_heard_there(account: Account, told: list[Event]) -> None:
    other = make_account().actor.organization_id
    join(account, other, role="viewer")
    notifications.notify(account.actor.user_id, news(organization_id=other), key="a")
    assert [event.actor.organization_id for event in told_of(told)] == [other]


def test_nobody_is_told_who_is_nobody(app: Any) -> None:
    assert not notifications.notify(str(ObjectId()), news(), key="a")
    with pytest.raises(ValueError, match="birthday"):
        notifications.notify(str(ObjectId()), News("birthday", "", ""), key="a")


def test_what_is_older_than_90_days_is_gone(account: Account, clock: Callable[[float], None]) -> None:
    notifications.notify(account.actor.user_id, news(1), key="a")
    clock(timedelta(days=89).total_seconds())
    notifications.notify(account.actor.user_id, news(2), key="b")
    assert numbers(account) == [2, 1]
    clock(timedelta(days=2).total_seconds())
    assert numbers(account) == [2]
    assert notifications.count_unread(account.actor) == 1
