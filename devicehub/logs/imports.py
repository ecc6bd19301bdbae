"""Imports: logs of long ago, written at once when they are few, and by a job when they are many."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import chain, islice
from typing import Any

import orjson
from bson import Binary, ObjectId
from mongoengine.errors import NotUniqueError

from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.errors import Forbidden, InvalidInput
from devicehub.core.paging import After, Stretch
from devicehub.jobs import service as jobs
from devicehub.jobs.errors import JobIsOver
from devicehub.jobs.models import Job
from devicehub.logs import importing
from devicehub.logs.errors import ImportNotFound
from devicehub.logs.importing import Line, Outcome
from devicehub.logs.models import Import, ImportPart

AT_ONCE = 10_000
KEEPING = timedelta(hours=1)

Row = dict[str, Any]


def add(actor: Actor, lines: Iterable[Line], *, import_id: ObjectId | None = None) -> Outcome | str:
    """Write lines; of more than AT_ONCE, the id of the import that a job works on.

    Under the same `import_id` a line is written once. Raises InvalidInput when there is none.
    """
    import_id, left = import_id or ObjectId(), iter(lines)
    first = list(islice(left, AT_ONCE + 1))
    if not first:
        raise InvalidInput(errors={"body": ["It holds no line."]})
    if len(first) <= AT_ONCE:
        return importing.write(actor, import_id, first)
    keep(actor, import_id, chain(first, left))
    return str(import_id)


def keep(actor: Actor, import_id: ObjectId, lines: Iterable[Line]) -> None:
    """Keep lines for a job that writes them; whoever dies within it has promised nothing, and may begin anew."""
    owner, moment = {"organization_id": ObjectId(actor.organization_id)}, clock.now()
    number = parts = 0
    try:
        for group in importing.grouped(lines):
            text = orjson.dumps([tuple(line) for line in group])
            row = {"import_id": import_id, **owner, "lines": Binary(text), "created_at": moment}
            ImportPart._get_collection().replace_one(
                {"_id": importing.part_id(import_id, parts)}, row, upsert=True
            )
            number, parts = number + len(group), parts + 1
    except Exception:
        drop_source(owner["organization_id"], import_id)
        raise
    made = Import(
        id=import_id, user_id=ObjectId(actor.user_id), lines=number, parts=parts, created_at=moment, **owner
    )
    with suppress(NotUniqueError):  # a twin that died after this
        made.save(force_insert=True)
    about = {"import_id": str(import_id), "organization_id": actor.organization_id}
    jobs.enqueue("logs.import", about, actor=actor, key=_key(import_id))


def _key(import_id: Any) -> str:
    return f"logs.import:{import_id}"


def run(actor: Actor | None, import_id: str) -> Iterator[tuple[int, int]]:
    """Write what is left of an import; gives how many of how many lines are done, after each part.

    Raises Forbidden when who asked for it may not write logs any more, ImportSourceGone, or LeaseLost.
    """
    if actor is None or not actor.is_at_least("operator"):
        raise Forbidden()
    mine = importing.begin(actor, ObjectId(import_id))
    for done in importing.go_on(actor, mine):
        yield done, mine["lines"]
    drop_source(mine["organization_id"], mine["_id"])


def find(actor: Actor, after: After) -> Stretch[Row]:
    """The caller's own imports, newest first."""
    mine = _own(actor).order_by("-id")
    if after.position is not None:
        mine = mine.filter(id__lt=ids.parse(str(after.position[0])))
    found = after.cut(list(mine.limit(after.limit + 1)), lambda one: (str(one.id),))
    works = {
        job.key: job for job in Job.objects.visible_to(actor).filter(key__in=[_key(one.id) for one in found.rows])
    }
    return Stretch([_told(one, works.get(_key(one.id))) for one in found.rows], found.limit, found.end)


def get(actor: Actor, import_id: str) -> Row:
    """One of the caller's own; raises ImportNotFound."""
    found: Import | None = _own(actor).filter(id=ids.parse(import_id)).first()
    if found is None:
        raise ImportNotFound(import_id=import_id)
    return _told(found, _job(actor, import_id))


def cancel(actor: Actor, import_id: str) -> Row:
    """Call an import off, as `jobs.cancel` does; what is written stays. Raises ImportNotFound, or JobIsOver."""
    get(actor, import_id)
    job = _job(actor, import_id)
    if job is None:
        raise JobIsOver(job_id=import_id)
    if jobs.cancel(actor, str(job.id)).status == "cancelled":
        drop_source(ObjectId(actor.organization_id), ObjectId(import_id))
    return get(actor, import_id)


def drop_source(organization_id: ObjectId, import_id: ObjectId) -> None:
    """Delete the lines that were kept for an import."""
    ImportPart._get_collection().delete_many({"organization_id": organization_id, "import_id": import_id})


def drop_sources_of_ended(organization_id: ObjectId) -> None:
    """Delete what workers that died, or gave up, left of an organization's imports."""
    for import_id in ImportPart.objects(organization_id=organization_id).distinct("import_id"):
        goes_on = {"key": _key(import_id), "status": {"$in": ["pending", "processing"]}}
        if Job.objects(__raw__=goes_on).only("id").first() is None and not _is_being_kept(import_id):
            drop_source(organization_id, import_id)


def _is_being_kept(import_id: ObjectId) -> bool:
    """Whether somebody may be about to ask for its job: that is done last."""
    first: ImportPart | None = ImportPart.objects(id=importing.part_id(import_id, 0)).only("created_at").first()
    return first is not None and first.created_at > clock.now() - KEEPING


def _own(actor: Actor) -> Any:
    return Import.objects.visible_to(actor).filter(user_id=ids.parse(actor.user_id))


def _job(actor: Actor, import_id: Any) -> Job | None:
    found: Job | None = Job.objects.visible_to(actor).filter(key=_key(str(import_id).lower())).first()
    return found


def _told(one: Import, job: Job | None) -> Row:
    """An import as `ImportSchema` shows it; without its job, that was never begun."""
    processed = one.accepted + one.duplicates + one.rejected
    wrong = [orjson.loads(each) for each in one.wrong]
    return {
        "id": str(one.id),
        "status": job.status if job else "expired",
        "progress": {
            "percentage": round(100 * processed / one.lines, 1),
            "current_step": "importing logs",
            "processed_records": processed,
            "total_records": one.lines,
        },
        "result": told(Outcome(processed, one.accepted, one.duplicates, one.rejected, wrong)),
        "error": job.error.get("code") if job and job.status == "failed" else None,
        "created_at": one.created_at,
        "finished_at": job.finished_at if job else None,
    }


def told(outcome: Outcome) -> Row:
    """What became of lines, as `ImportResultSchema` shows it."""
    return {
        "lines": outcome.lines,
        "accepted": outcome.accepted,
        "duplicates": outcome.duplicates,
        "rejected": outcome.rejected,
        "errors": outcome.wrong,
        "errors_cut": outcome.rejected > len(outcome.wrong),
    }
