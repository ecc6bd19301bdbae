"""Proving the trail: whatever is done to it is found, and the end of an entry's time is no loss."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from click.testing import Result

from devicehub.audit import service as audit
from devicehub.audit import verification
from devicehub.audit.chain import fingerprint
from devicehub.audit.models import AuditEntry
from devicehub.audit.verification import ALTERED, CUT_OFF, KEPT, MISSING, REWRITTEN, UNCHAINED, Finding, verify
from devicehub.core import clock as system_clock
from devicehub.core import logging
from devicehub.core.actor import Actor
from devicehub.core.config import Settings

ORGANIZATION = ObjectId("65f0a1b2c3d4e5f6a7b8c9d1")
ADA = Actor("65f0a1b2c3d4e5f6a7b8c9d0", str(ORGANIZATION), "owner")
DAY = 86_400

pytestmark = pytest.mark.usefixtures("app")
Clock = Callable[[float], None]
Typed = Callable[..., Result]


def entries() -> Any:
    return AuditEntry._get_collection()


def write(sequence: int, /, **changes: Any) -> None:
    """Change an entry behind everybody's back."""
    entries().update_one({"organization_id": ORGANIZATION, "sequence": sequence}, {"$set": changes})


def remove(*sequences: int) -> None:
    entries().delete_many({"organization_id": ORGANIZATION, "sequence": {"$in": sequences}})


def rehash(*sequences: int) -> None:
    """Let entries hash to what they say now."""
    for sequence in sequences:
        row = entries().find_one({"organization_id": ORGANIZATION, "sequence": sequence})
        write(sequence, hash=fingerprint(row))


def append(count: int) -> None:
    for number in range(count):
        audit.record(ADA, "test.done", target=str(number), changes={"number": number})


@pytest.fixture
def ten() -> None:
    append(10)


def broken(found: Finding) -> tuple[int | None, str]:
    return found.broken_at, found.why


def test_an_untouched_chain_holds(ten: None) -> None:
    found = verify(ORGANIZATION, {})
    assert (found.entries, found.first, found.last, found.broken_at) == (10, 1, 10, None)
    assert found.head == entries().find_one({"organization_id": ORGANIZATION}, sort=[("sequence", -1)])["hash"]


def test_it_is_walked_in_batches(ten: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_BATCH", 3)
    assert verify(ORGANIZATION, {}).entries == 10


@pytest.mark.parametrize(
    "change",
    [{"action": "x"}, {"changes.number": 0}, {"at": system_clock.now()}, {"slipped_in": 1}, {"hash": "0" * 64}],
)
def test_an_entry_that_was_altered_is_found(ten: None, change: dict[str, Any]) -> None:
    write(5, **change)
    assert broken(verify(ORGANIZATION, {})) == (5, ALTERED)


def test_an_entry_that_was_altered_with_its_hash_is_found_by_the_next(ten: None) -> None:
    write(5, action="x")
    rehash(5)
    assert broken(verify(ORGANIZATION, {})) == (6, UNCHAINED)


@pytest.mark.parametrize(("gone", "at"), [([5], 6), ([1], 2), ([4, 5, 6], 7)])
def test_an_entry_that_was_removed_is_found(ten: None, gone: list[int], at: int) -> None:
    remove(*gone)
    assert broken(verify(ORGANIZATION, {})) == (at, MISSING)


def test_entries_that_were_renumbered_over_a_gap_are_found(ten: None) -> None:
    remove(5)
    for sequence in range(6, 11):
        write(sequence, sequence=sequence - 1)
    rehash(*range(5, 10))
    assert broken(verify(ORGANIZATION, {})) == (5, UNCHAINED)


def test_entries_that_were_swapped_are_found(ten: None) -> None:
    write(5, sequence=99)
    write(6, sequence=5)
    write(99, sequence=6)
    assert broken(verify(ORGANIZATION, {})) == (5, ALTERED)
    rehash(5, 6)
    assert broken(verify(ORGANIZATION, {})) == (5, UNCHAINED)


@pytest.mark.parametrize("sequence", [0, 4.5, 11])
def test_an_entry_that_was_slipped_in_is_found(ten: None, sequence: Any) -> None:
    row = entries().find_one({"organization_id": ORGANIZATION, "sequence": 4}) | {"_id": ObjectId()}
    entries().insert_one(row | {"sequence": sequence})
    assert broken(verify(ORGANIZATION, {})) == (sequence, ALTERED)
    rehash(sequence)
    assert verify(ORGANIZATION, {}).broken_at in (sequence, 1)


def test_a_chain_holds_from_the_oldest_entry_that_is_kept(clock: Clock) -> None:
    append(3)
    clock(10 * DAY)
    append(3)
    clock(KEPT.total_seconds() - 10 * DAY + 1)
    remove(1, 2, 3)
    found = verify(ORGANIZATION, {})
    assert (found.entries, found.first, found.last, found.broken_at) == (3, 4, 6, None)


def test_what_is_removed_before_its_time_is_missed_even_at_the_old_end(clock: Clock) -> None:
    append(3)
    clock(10 * DAY)
    append(3)
    clock(KEPT.total_seconds() - 10 * DAY + 1)
    remove(1, 2, 3, 4)
    assert broken(verify(ORGANIZATION, {})) == (5, MISSING)


def test_entries_that_end_while_we_walk_or_out_of_order_are_no_loss(clock: Clock) -> None:
    append(6)
    clock(KEPT.total_seconds())
    append(2)
    remove(3, 5)
    found = verify(ORGANIZATION, {})
    assert (found.entries, found.first, found.last, found.broken_at) == (3, 6, 8, None)


def test_mongodb_ends_entries_when_we_think_it_does() -> None:
    assert entries().index_information()["lapsed"]["expireAfterSeconds"] == KEPT.total_seconds()


@pytest.fixture
def log(settings: Settings, tmp_path: Path) -> Any:
    """The log of what was appended since."""
    path = tmp_path / "log"
    logging.setup(settings.model_copy(update={"log_file": path, "log_level": "INFO"}))
    yield path
    logging.setup(settings)


def test_what_the_log_remembers_is_compared(log: Path) -> None:
    append(10)
    told = verification.testimony([b"no JSON", b"[]", b'{"event": "request"}', *log.read_bytes().splitlines()])
    assert broken(verify(ORGANIZATION, told[ORGANIZATION])) == (None, "")
    remove(9, 10)
    assert broken(verify(ORGANIZATION, {})) == (None, "")
    assert broken(verify(ORGANIZATION, told[ORGANIZATION])) == (9, CUT_OFF)
    entries().delete_many({})
    append(10)
    assert broken(verify(ORGANIZATION, {})) == (None, "")
    assert broken(verify(ORGANIZATION, told[ORGANIZATION])) == (1, REWRITTEN)


def test_what_the_log_says_of_entries_whose_time_is_over_is_passed_over(log: Path) -> None:
    append(3)
    line = json.loads(log.read_text().splitlines()[0])
    assert len(verification.testimony([json.dumps(line)])) == 1
    line["timestamp"] = system_clock.rfc3339(system_clock.now() - KEPT - timedelta(days=1))
    assert verification.testimony([json.dumps(line)]) == {}


def test_the_command_tells_of_every_organization(ten: None, typed: Typed) -> None:
    audit.record(Actor("", "75f0a1b2c3d4e5f6a7b8c9d1", "owner"), "test.done")
    head = verify(ORGANIZATION, {}).head
    said = typed("audit", "verify")
    assert said.exit_code == 0
    first, second, end = said.output.splitlines()
    assert first == f"{ORGANIZATION}  1 to 10, 10 kept, ok, {head}"
    assert second.startswith("75f0a1b2c3d4e5f6a7b8c9d1  1 to 1, 1 kept, ok, ")
    assert end == "Broken: 0 of 2."


def test_the_command_fails_when_a_chain_is_broken(ten: None, typed: Typed) -> None:
    audit.record(Actor("", "75f0a1b2c3d4e5f6a7b8c9d1", "owner"), "test.done")
    remove(3)
    said = typed("audit", "verify")
    assert said.exit_code == 1
    assert said.output.splitlines()[0] == f"{ORGANIZATION}  1 to 10, 9 kept, BROKEN at 4: {MISSING}"
    assert said.output.splitlines()[2] == "Broken: 1 of 2."
    assert typed("audit", "verify", "--organization", "75f0a1b2c3d4e5f6a7b8c9d1").exit_code == 0
    assert typed("audit", "verify", "--organization", str(ORGANIZATION)).exit_code == 1
    assert typed("audit", "verify", "--organization", "nonsense").exit_code == 2


def test_the_command_misses_a_whole_chain_that_the_log_knows(log: Path, typed: Typed) -> None:
    append(2)
    assert typed("audit", "verify", "--witness", str(log)).exit_code == 0
    entries().delete_many({})
    assert typed("audit", "verify").exit_code == 0
    said = typed("audit", "verify", "--witness", str(log))
    assert said.exit_code == 1
    assert said.output.splitlines()[0] == f"{ORGANIZATION}  0 to 0, 0 kept, BROKEN at 1: {CUT_OFF}"
