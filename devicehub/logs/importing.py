"""Writing lines that name their devices, group by group, each line once although it may be done twice.

A line's log has an id that is made of the import and the line's number, so that one who begins anew knows his own.
What a job has written is recorded in the transaction that wrote it, under the token of its run: a worker that was
stopped and wakes up late has another token, and writes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

import orjson
from bson import ObjectId
from pymongo.client_session import ClientSession

from devicehub.core import clock, crypto, ids, transactions
from devicehub.core.actor import Actor
from devicehub.core.documents import seen_by
from devicehub.devices.models import Device
from devicehub.jobs.errors import LeaseLost
from devicehub.logs import intake
from devicehub.logs import service as logs
from devicehub.logs.errors import ImportSourceGone
from devicehub.logs.models import Import, ImportPart, Log
from devicehub.organizations import service as organizations

GROUP = 500
MOST_ERRORS = 1000
PATIENCE_S = 25.0
_NAMES = {"deviceId": "id", "device_id": "id", "serialNumber": "serial", "serial_number": "serial"}

Row = dict[str, Any]
Errors = Mapping[str, Any]
# The number of a line, what it says, and why it could not be read.
Line = tuple[int, Any, Errors | None]


@dataclass(slots=True)
class Outcome:
    """What became of lines; `wrong` are the first that were rejected, by their number."""

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    wrong: list[Row] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.lines += other.lines
        self.accepted += other.accepted
        self.duplicates += other.duplicates
        self.rejected += other.rejected
        self.wrong += other.wrong[: MOST_ERRORS - len(self.wrong)]


def write(actor: Actor, import_id: ObjectId, lines: Iterable[Line]) -> Outcome:
    """Write lines here and now; what was written stays, whatever becomes of those after it."""
    whole, moment = Outcome(), clock.now()
    for group in grouped(lines):
        ready, outcome = _judged(actor, import_id, group, moment)
        whole.add(transactions.run(partial(_write, ready=ready, outcome=outcome)))
    return whole


def grouped(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """The lines in groups of GROUP."""
    left = iter(lines)
    while group := list(islice(left, GROUP)):
        yield group


def begin(actor: Actor, import_id: ObjectId) -> Row:
    """Take an import for a run of its own; raises ImportSourceGone."""
    token = crypto.random_token(12)
    wanted = {**seen_by(actor, Import), "_id": import_id}
    taken = Import._get_collection().find_one_and_update(wanted, {"$set": {"run": token}})
    if taken is None:
        raise ImportSourceGone(import_id=import_id)
    found: Row = {**taken, "run": token}
    return found


def go_on(actor: Actor, run: Row) -> Iterator[int]:
    """Write the parts of an import that are not written yet; gives how many lines are done after each.

    Raises ImportSourceGone, or LeaseLost when somebody else has begun a run of it.
    """
    done: int = run["accepted"] + run["duplicates"] + run["rejected"]
    for number in range(run["done"], run["parts"]):
        lines = _read(run, number)
        ready, outcome = _judged(actor, run["_id"], lines, run["created_at"])
        work = partial(_write_part, run=run, number=number, ready=ready, outcome=outcome)
        transactions.run(work, timeout_s=PATIENCE_S)
        done += len(lines)
        yield done


def _read(run: Row, number: int) -> list[Line]:
    part = ImportPart._get_collection().find_one({"_id": part_id(run["_id"], number)})
    if part is None:
        raise ImportSourceGone(import_id=run["_id"])
    return [(line, value, errors) for line, value, errors in orjson.loads(part["lines"])]


def part_id(import_id: ObjectId, number: int) -> ObjectId:
    """The id of a part, so that keeping it twice is keeping it once."""
    return ids.derived(f"{import_id}|part", number)


def _write_part(session: ClientSession, run: Row, number: int, ready: list[Row], outcome: Outcome) -> None:
    found = _write(session, ready, outcome)
    counted = {name: getattr(found, name) for name in ("accepted", "duplicates", "rejected")}
    update = {
        "$set": {"done": number + 1},
        "$inc": counted,
        "$push": {"wrong": {"$each": [orjson.dumps(one).decode() for one in found.wrong], "$slice": MOST_ERRORS}},
    }
    ours = {"_id": run["_id"], "run": run["run"], "done": number}
    if not Import._get_collection().update_one(ours, update, session=session).matched_count:
        raise LeaseLost()


def _write(session: ClientSession, ready: list[Row], outcome: Outcome) -> Outcome:
    """Write what is ready and not there yet; what came of it, added to what is known of the rest."""
    wanted = [row["_id"] for row in ready]
    found = Log._get_collection().find({"_id": {"$in": wanted}}, {"_id": 1}, session=session)
    ours = {row["_id"] for row in found}
    new = logs.write(session, [row for row in ready if row["_id"] not in ours])
    duplicates = sum(row is None for row in new)
    accepted = len(ready) - duplicates
    return Outcome(outcome.lines, accepted, duplicates, outcome.rejected, outcome.wrong)


def _judged(
    actor: Actor, import_id: ObjectId, lines: Sequence[Line], moment: datetime
) -> tuple[list[Row], Outcome]:
    """The logs that sound lines make, and what is wrong with the others; they are taken to come at `moment`."""
    named = [_named(value, errors) for _, value, errors in lines]
    found = _devices(actor, [name for name, _, _ in named])
    oldest = organizations.oldest_kept(organizations.settings_of(actor.organization_id))
    sound, unsound = intake.judge([rest for _, rest, _ in named], now=moment, oldest=oldest)
    received_at, ready, wrong = clock.now(), list[Row](), list[Row]()
    for index, ((number, _, _), (name, _, errors)) in enumerate(zip(lines, named, strict=True)):
        device_id = found.get(name)
        reasons = {**unsound.get(index, {}), **({} if device_id else _unknown(name)), **(errors or {})}
        if reasons:
            wrong.append({"line": number, "errors": _shortened(reasons)})
            continue
        owner = {"organization_id": ObjectId(actor.organization_id), "device_id": device_id}
        log_id = ids.derived(str(import_id), number)
        ready.append({"_id": log_id, **owner, **sound[index], "received_at": received_at})
    return ready, Outcome(len(lines), rejected=len(wrong), wrong=wrong)


Name = tuple[str, str]


def _named(value: Any, errors: Errors | None) -> tuple[Name | None, Any, Errors | None]:
    """How a line names its device, the log without that, and what is wrong with the naming."""
    if errors is not None or not isinstance(value, dict):
        return None, value, errors
    names = [name for name in value if name in _NAMES]
    rest = {name: part for name, part in value.items() if name not in _NAMES}
    if len(names) != 1:
        why = "Name the device." if not names else "Name the device once, by `deviceId` or by `serialNumber`."
        return None, rest, {"deviceId": [why]}
    [name] = names
    text = value[name]
    if not isinstance(text, str) or len(text) > 200:
        return None, rest, {name: ["Not a valid string."]}
    return (_NAMES[name], text.strip().lower() if _NAMES[name] == "id" else text.strip()), rest, None


def _devices(actor: Actor, names: Iterable[Name | None]) -> dict[Name | None, ObjectId]:
    """The devices of the caller's organization that have these names."""
    wanted = {name for name in names if name is not None}
    device_ids = [each for kind, text in wanted if kind == "id" and (each := ids.parse(text))]
    serials = [text for kind, text in wanted if kind == "serial"]
    chosen = Device.objects.visible_to(actor)
    of_ids = chosen.filter(id__in=device_ids).scalar("id")
    # That it is a text is what the index asks for; MongoDB does not conclude it from the texts.
    of_serials = chosen.filter(__raw__={"serial_number": {"$in": serials, "$type": "string"}})
    found: dict[Name | None, ObjectId] = {("id", str(device_id)): device_id for device_id in of_ids}
    return found | {("serial", serial): each for each, serial in of_serials.scalar("id", "serial_number")}


def _unknown(name: Name | None) -> Row:
    if name is None:
        return {}
    return {"serialNumber" if name[0] == "serial" else "deviceId": ["No such device."]}


def _shortened(errors: Errors) -> Row:
    """What is wrong with a line, in bounds: it may have ten thousand fields of which none is known."""
    return {str(name)[:100]: list(messages)[:3] for name, messages in list(errors.items())[:10]}
