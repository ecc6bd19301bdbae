"""A thousand devices silenced at once, with processes that are killed among them: a part of `make bench`.

Two real api processes, one of which has the duty to find who is silent. Told is what stands in the organization's
log, and when it was put there, against the moment in which 1.5 intervals and 15 s of silence were over.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import orjson
from bson import ObjectId
from pymongo import MongoClient
from redis import Redis
from rich.table import Table

from devicehub.core.config import Settings
from tests.conftest import LiveServer, start_server, wait_until

FLEET, INTERVAL_S = 1000, 5
WINDOW = timedelta(seconds=1.5 * INTERVAL_S + 15)
Disturb = Callable[["Storm"], None]


class Told(NamedTuple):
    """An entry of the log: this device is offline, told at this moment."""

    device_id: str
    at: float


class Storm:
    """One fleet of a person's own on two processes; the first one started is the sweeper."""

    def __init__(self, settings: Settings) -> None:
        self.db = MongoClient(settings.mongodb_uri, tz_aware=True).get_default_database("devicehub")
        self.redis = Redis.from_url(settings.redis_url)
        self.told: list[Told] = []
        self.settings = settings

    @contextmanager
    def processes(self) -> Iterator[None]:
        self.db["leases"].delete_many({"_id": "presence"})
        self.sweeper = start_server(self.settings, {})
        wait_until(lambda: self.db["leases"].find_one({"_id": "presence"}))
        self.other = start_server(self.settings, {})
        try:
            yield
        finally:
            for process in (self.sweeper, self.other):
                if process.process.poll() is None:
                    process.stop()

    def silence(self, client_of: Callable[[LiveServer], "Asks"]) -> None:
        """Register the fleet, hear each once, and then nothing."""
        client = client_of(self.other)
        fleet = [{"name": f"Sensor {n}", "type": "sensor", "heartbeatInterval": INTERVAL_S} for n in range(FLEET)]
        halves = [fleet[: FLEET // 2], fleet[FLEET // 2 :]]
        made = [item["device"] for half in halves for item in client.ask("/api/devices/batch", {"devices": half})]
        self.organization = made[0]["organizationId"]
        for start in (0, FLEET // 2):
            half = [{"deviceId": device["id"]} for device in made[start : start + FLEET // 2]]
            client.ask("/api/devices/heartbeats", {"heartbeats": half})

    def offline(self) -> int:
        mine = {"organization_id": ObjectId(self.organization), "presence": "offline"}
        return self.db["devices"].count_documents(mine)

    def note_what_was_told(self, *, empty: bool = False) -> None:
        """Read of whom the log tells that they are offline, and empty Redis in the same moment."""
        pipe = self.redis.pipeline(transaction=True).xrange(f"events:{self.organization}")
        for entry_id, fields in (pipe.flushall() if empty else pipe).execute()[0]:
            told = orjson.loads(fields.get(b"payload", b"{}"))
            if told.get("changes") == {"presence": "offline"}:
                self.told.append(Told(told["deviceId"], int(entry_id.split(b"-")[0]) / 1000))

    def is_over(self) -> bool:
        is_untold = self.db["devices"].find_one({"untold.at": {"$exists": True}})
        return self.offline() == FLEET and is_untold is None

    def last_lag(self) -> float:
        """Seconds from the end of a device's window to its being told of, for the last one."""
        mine = self.db["devices"].find({"organization_id": ObjectId(self.organization)})
        due = {str(row["_id"]): (row["last_active_at"] + WINDOW).timestamp() for row in mine}
        return max(one.at - due[one.device_id] for one in self.told)

    def figures(self) -> "Figures":
        told = Counter(Counter(one.device_id for one in self.told).values())
        more = sum(count for times, count in told.items() if times > 2)
        return Figures(self.offline(), self.last_lag(), told[1], told[2], more, self.recorded_once())

    def recorded_once(self) -> int:
        """Of how many the history says once that they went offline."""
        mine = {"organization_id": ObjectId(self.organization), "to": "offline"}
        recorded = Counter(row["device_id"] for row in self.db["presence_history"].find(mine))
        return Counter(recorded.values())[1]


class Asks:
    """POSTs as somebody; gives the items of the answer."""

    def __init__(self, post: Callable[[str, object], bytes]) -> None:
        self._post = post

    def ask(self, path: str, body: object) -> list[dict[str, dict[str, str]]]:
        items: list[dict[str, dict[str, str]]] = orjson.loads(self._post(path, body))["items"]
        return items


def _nothing(_: Storm) -> None:
    pass


def _kill_the_sweeper(storm: Storm) -> None:
    storm.sweeper.kill()


def _empty_redis(storm: Storm) -> None:
    storm.note_what_was_told(empty=True)


DISTURBED: dict[str, Disturb] = {
    "nothing happens": _nothing,
    "its finder is killed half-way": _kill_the_sweeper,
    "Redis is emptied half-way": _empty_redis,
}


class Figures(NamedTuple):
    """What became of a storm."""

    offline: int
    lag: float
    once: int
    twice: int
    more: int
    recorded_once: int


def figures_of_storms(
    settings: Settings, client_of: Callable[[LiveServer], Asks]
) -> Iterator[tuple[str, Figures]]:
    """Each disturbance in turn, at the moment in which some are offline and others not yet."""
    settings = settings.model_copy(update={"log_level": "ERROR"})
    for name, disturb in DISTURBED.items():
        storm = Storm(settings)
        with storm.processes():
            storm.silence(client_of)
            wait_until(lambda storm=storm: storm.offline() > 0, 60)
            disturb(storm)
            wait_until(storm.is_over, 60)
            storm.note_what_was_told()
            yield name, storm.figures()


def storms(settings: Settings, client_of: Callable[[LiveServer], Asks]) -> Table:
    """What became of each, as a table."""
    table = Table(
        "while", "offline", "last told after, s", "told once", "twice", "more", title=f"{FLEET} devices silent"
    )
    for name, found in figures_of_storms(settings, client_of):
        figures = (found.offline, f"{found.lag:.2f}", found.once, found.twice, found.more)
        table.add_row(name, *map(str, figures))
    return table
