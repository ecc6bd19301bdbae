"""An import whose worker is killed, and one whose worker wakes up late: each line is a log once, and counted once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from flask.testing import FlaskClient

from devicehub.core import ids, transactions
from devicehub.jobs.errors import LeaseLost
from devicehub.jobs.models import Job
from devicehub.logs import importing, imports
from devicehub.logs.models import Import, ImportPart
from tests.conftest import wait_until
from tests.factories import Account, make_device
from tests.jobs.holding import held
from tests.jobs.processes import Worker, start, sweeper
from tests.logs.test_imports import NDJSON, PATH, lines_of, written
from tests.logs.test_rollups import everything_is_counted_once

__all__ = ["start", "sweeper"]  # fixtures
pytestmark = pytest.mark.xdist_group("jobs")


@pytest.mark.actor()
@pytest.mark.usefixtures("sweeper")
def test_what_a_killed_worker_began_is_finished_by_another_and_nothing_is_counted_twice(
    client: FlaskClient, account: Account, start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "AT_ONCE", 1_000)
    number, device = 2_001, make_device(account.actor)
    answer = client.post(PATH, data=lines_of(device, number), content_type=NDJSON)
    path = answer.headers["Location"]
    assert answer.status_code == 202
    found = Import.objects.get()
    # Held up where its third part begins to write: a transaction that was killed after that holds others up, for 60 s.
    with held("logs", {"_id": ids.derived(str(found.id), 1_200)}):
        doomed = start()
        wait_until(lambda: Import.objects(done=2).first(), 30, "it to be half way")
        doomed.child().kill()
        doomed.end()
    assert (Import.objects.get().done, found.parts) == (2, 5)
    start()
    wait_until(lambda: Job.objects(status="completed").first(), 60, "it to be finished")
    done: Any = client.get(path).json
    assert (done["result"]["accepted"], done["result"]["duplicates"]) == (number, 0)
    assert written() == list(range(number))
    assert everything_is_counted_once() == number
    assert ImportPart.objects.count() == 0


@pytest.mark.actor()
def test_a_worker_that_wakes_up_late_writes_nothing(account: Account) -> None:
    device, import_id = make_device(account.actor), ObjectId()
    lines = [(n, {"deviceId": device["id"], "event": "on", "metadata": {"line": n}}, None) for n in range(1200)]
    imports.keep(account.actor, import_id, lines)
    sleeper = importing.begin(account.actor, import_id)
    first = importing.go_on(account.actor, sleeper)
    assert next(first) == 500
    assert [*importing.go_on(account.actor, importing.begin(account.actor, import_id))] == [1000, 1200]
    with pytest.raises(LeaseLost):
        next(first)
    stale = partial(importing._write_part, run=sleeper, number=0, ready=[], outcome=importing.Outcome())
    with pytest.raises(LeaseLost):
        transactions.run(stale)
    assert written() == list(range(1200)) and everything_is_counted_once() == 1200
