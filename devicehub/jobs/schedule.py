"""Periodic jobs: one for each period, however many schedulers there are and however often they are started."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from croniter import croniter

from devicehub.core import clock
from devicehub.jobs import service as jobs


class Scheduler:
    """Enqueues the jobs of a table `name: "minute hour day month weekday"` (cron, in UTC) when their time comes.

    The key of a job names its period, so that it is enqueued once; of the periods that went by while nobody was
    there, only the last one is.
    """

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._begun: dict[str, datetime] = {}  # spares MongoDB a question it has answered

    def step(self) -> None:
        """Enqueue what has become due."""
        for name, cron in self._table.items():
            period = period_of(cron, clock.now())
            if self._begun.get(name) != period:
                jobs.enqueue(name, key=f"cron:{name}:{clock.rfc3339(period)}")
                self._begun[name] = period


def period_of(cron: str, moment: datetime) -> datetime:
    """When the period that `moment` lies in began."""
    began: datetime = croniter(cron, moment + timedelta(milliseconds=1)).get_prev(datetime)
    return began
