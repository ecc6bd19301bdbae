"""The chain: no gap, no fork, and what is read hashes to what was written."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import DuplicateKeyError

from devicehub.audit import chain, redaction, verification
from devicehub.audit import service as audit
from devicehub.audit.models import AuditEntry
from devicehub.core import clock
from devicehub.core.actor import Actor
from devicehub.core.config import Settings
from devicehub.core.errors import Busy
from tests.audit import writers
from tests.audit.conftest import Row, Trail

ADA = Actor("65f0a1b2c3d4e5f6a7b8c9d0", "65f0a1b2c3d4e5f6a7b8c9d1", "owner")
ORGANIZATION = ObjectId(ADA.organization_id)

pytestmark = pytest.mark.usefixtures("app")


def draft(**more: Any) -> Row:
    return {"at": clock.now(), "action": "test.done", "outcome": "done", "actor_kind": "system", **more}


def test_the_first_entry_follows_nothing_and_each_other_the_one_before_it(trail: Trail) -> None:
    assert chain.append(ORGANIZATION, [draft(target="1"), draft(target="2")]) == [1, 2]
    assert chain.append(ORGANIZATION, [draft(target="3")]) == [3]
    first, second, third = trail(ADA)
    assert first["previous"] == chain.GENESIS and "previous_at" not in first
    assert (second["previous"], second["previous_at"]) == (first["hash"], first["at"])
    assert (third["previous"], third["previous_at"]) == (second["hash"], second["at"])


def test_every_organization_has_a_chain_of_its_own() -> None:
    other = ObjectId()
    for organization in (ORGANIZATION, other, ORGANIZATION):
        chain.append(organization, [draft()])
    assert [verification.verify(one, {}).last for one in (ORGANIZATION, other)] == [2, 1]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(max_size=5) | st.sampled_from(["$set", "a.b", "", "\0", "_id"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.binary(),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        ),
        max_size=5,
    )
)
def test_whatever_changed_what_is_read_hashes_to_what_was_written(changes: dict[str, Any]) -> None:
    [sequence] = chain.append(ORGANIZATION, [draft(changes=redaction.redacted(changes))])
    row = AuditEntry._get_collection().find_one({"organization_id": ORGANIZATION, "sequence": sequence})
    assert row is not None and row["hash"] == chain.fingerprint(row)


def test_threads_and_processes_that_append_at_once_make_one_chain(settings: Settings, trail: Trail) -> None:
    several = multiprocessing.get_context("forkserver")
    several.set_forkserver_preload([writers.__name__])
    barrier = several.Barrier(3)
    told = (settings.model_dump(), ADA.organization_id, 50, barrier)
    others = [several.Process(target=writers.append_many, args=told) for _ in range(2)]
    for other in others:
        other.start()
    barrier.wait(60)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: audit.record(ADA, "test.done", target=str(number)), range(200)))
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    rows = trail(ADA)
    assert [row["sequence"] for row in rows] == list(range(1, 301))
    assert sorted(int(row["target"]) for row in rows) == sorted([*range(200), *range(50), *range(50)])
    assert verification.verify(ORGANIZATION, {}).broken_at is None


def test_one_sequence_cannot_be_taken_twice() -> None:
    chain.append(ORGANIZATION, [draft()])
    with pytest.raises(DuplicateKeyError):
        AuditEntry._get_collection().insert_one({"organization_id": ORGANIZATION, "sequence": 1})


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let somebody else take the next sequence, as often as said, between our look at the end and our write."""
    linked = chain._linked

    def after_us(times: int, at: int = 0) -> None:
        left = iter(range(times))

        def overtaken(organization_id: ObjectId, drafts: Sequence[Row]) -> Iterator[Row]:
            rows = list(linked(organization_id, drafts))
            if next(left, None) is not None:
                theirs = [*linked(organization_id, [draft(action="test.faster")] * (at + 1))][at]
                AuditEntry._get_collection().insert_one(theirs)
            return iter(rows)

        monkeypatch.setattr(chain, "_linked", overtaken)

    yield after_us


def test_whoever_is_overtaken_appends_behind(faster: Any, trail: Trail) -> None:
    faster(3)
    assert chain.append(ORGANIZATION, [draft(target="1"), draft(target="2")]) == [4, 5]
    assert [row["action"] for row in trail(ADA)] == ["test.faster"] * 3 + ["test.done"] * 2
    assert verification.verify(ORGANIZATION, {}).broken_at is None


def test_whoever_is_overtaken_halfway_goes_on_from_there(faster: Any, trail: Trail) -> None:
    faster(1, at=1)  # which breaks their chain, not our counting
    assert chain.append(ORGANIZATION, [draft(target="1"), draft(target="2"), draft(target="3")]) == [1, 3, 4]
    assert [row.get("target") for row in trail(ADA)] == ["1", None, "2", "3"]


def test_whoever_is_always_overtaken_gives_up(faster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PATIENCE_S", 0.05)
    faster(1_000_000)
    with pytest.raises(Busy):
        chain.append(ORGANIZATION, [draft()])
