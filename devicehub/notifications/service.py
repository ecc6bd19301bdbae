"""Notifications: what is for one person alone, kept for them and told to them; and what they do with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.events import emit
from devicehub.core.paging import After, Position, Stretch
from devicehub.notifications.errors import NotificationNotFound
from devicehub.notifications.models import KINDS, Box
from devicehub.organizations import service as organizations
from devicehub.users import preferences
from devicehub.users.models import User

MOST = 100
LIFE = timedelta(days=90)
REMEMBERED = 500  # keys; what is told again is told again soon

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """What there is to tell; without an organization it concerns the account."""

    kind: str
    title: str
    message: str
    data: Mapping[str, Any] = field(default_factory=dict)
    organization_id: str | None = None


def notify(user_id: str, news: News, *, key: str) -> bool:
    """Keep news for a user, and tell them if they listen; false if they do not want it, or had it under `key`.

    It is told after it was written: whoever dies in between has told nobody, and it is found where it is kept.
    """
    if news.kind not in KINDS:
        raise ValueError(f"there are no notifications of the kind {news.kind}")
    user: User | None = User.objects(id=ObjectId(user_id)).only("in_app").first()
    if user is None or not preferences.wants(user, news.kind):
        return False
    item = _item(news)
    if not _keep(user_id, item, key):
        return False
    for organization_id in _heard_in(user_id, news):
        _tell(Actor(user_id, organization_id, "viewer", kind="system"), item)
    return True


def _item(news: News) -> Item:
    return {
        "id": ObjectId(),
        "type": news.kind,
        "title": news.title,
        "message": news.message,
        "data": dict(news.data),
        "read_at": None,
        "created_at": clock.now(),
        "organization_id": ids.parse(news.organization_id or ""),
    }


def _keep(user_id: str, item: Item, key: str) -> bool:
    """Add it unless it was, and drop what is more than MOST; all in one update."""
    boxes = Box._get_collection()
    unheard = {"_id": ObjectId(user_id), "heard": {"$ne": key}}
    newest_first = {"$each": [item], "$sort": {"created_at": -1, "id": -1}, "$slice": MOST}
    change = {
        "$push": {"items": newest_first, "heard": {"$each": [key], "$slice": -REMEMBERED}},
        "$max": {"last_at": item["created_at"]},
    }
    try:
        boxes.update_one(unheard, change, upsert=True)
    except DuplicateKeyError:  # it was heard; or somebody else has made the box at this moment
        return bool(boxes.update_one(unheard, change).modified_count)
    return True


def _heard_in(user_id: str, news: News) -> list[str]:
    """The organizations in which they hear it: that which it is of, or else all of theirs."""
    theirs = list(organizations.memberships(user_id))
    return [news.organization_id] if news.organization_id in theirs else theirs


def _tell(actor: Actor, item: Item) -> None:
    told = {name: item[name] for name in ("type", "title", "message", "data")}
    emit("notification.created", actor, user_id=actor.user_id, notification_id=str(item["id"]), **told)


def find(actor: Actor, after: After, *, unread: bool = False) -> Stretch[Item]:
    """The caller's notifications, newest first, of all their organizations; only those they did not read."""
    wanted = [item for item in _items(actor) if not (unread and item["read_at"])]
    if after.position is not None:
        wanted = [item for item in wanted if _position(item) < after.position]
    return after.cut(wanted, _position)


def _position(item: Item) -> Position:
    return round(item["created_at"].timestamp() * 1000), str(item["id"])


def count_unread(actor: Actor) -> int:
    """How many of the caller's notifications they did not read."""
    return sum(item["read_at"] is None for item in _items(actor))


def read(actor: Actor, notification_id: str) -> Item:
    """Note that the caller has read one, the first time; raises NotificationNotFound."""
    wanted = ids.parse(notification_id)
    row = Box._get_collection().find_one_and_update(
        {"_id": ObjectId(actor.user_id)},
        {"$set": {"items.$[one].read_at": clock.now()}},
        array_filters=[{"one.id": wanted, "one.read_at": None}],
        return_document=ReturnDocument.AFTER,
    )
    for item in _fresh(row):
        if item["id"] == wanted:
            return item
    raise NotificationNotFound(notification_id=notification_id)


def read_all(actor: Actor) -> int:
    """Note that the caller has read all there are; returns how many they had not."""
    row = Box._get_collection().find_one_and_update(
        {"_id": ObjectId(actor.user_id)},
        {"$set": {"items.$[one].read_at": clock.now()}},
        array_filters=[{"one.read_at": None}],
    )
    return sum(item["read_at"] is None for item in _fresh(row))


def clear(actor: Actor) -> None:
    """Forget what the caller was told; what was told is not told again."""
    Box._get_collection().update_one({"_id": ObjectId(actor.user_id)}, {"$set": {"items": []}})


def _items(actor: Actor) -> list[Item]:
    return _fresh(Box._get_collection().find_one({"_id": ObjectId(actor.user_id)}, {"items": 1}))


def _fresh(row: Mapping[str, Any] | None) -> list[Item]:
    """What of a box is not older than LIFE; the rest goes when there is something new, or with the box."""
    oldest: datetime = clock.now() - LIFE
    return [item for item in (row or {}).get("items", []) if item["created_at"] > oldest]
