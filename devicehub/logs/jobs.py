"""What is done with logs in the background."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId

from devicehub.core import clock, metrics
from devicehub.jobs.errors import Cancelled
from devicehub.jobs.registry import Context, job
from devicehub.logs import imports, purges, rebuilding
from devicehub.organizations import deletions
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import OrganizationNotFound

log = structlog.get_logger(__name__)

CHECKED_DAYS = 3


@job("logs.purge")
def purge(context: Context) -> Mapping[str, Any]:
    """Remove what a deleted device logged; returns how much that was."""
    removed: Counter[str] = Counter()
    for things, number in purges.of_device(context.arguments["organization_id"], context.arguments["device_id"]):
        removed[things] += number
        context.progress("Deleting logs", removed.total())
    return dict(removed)


@job("logs.purge_organization", timeout_s=3600)
def purge_organization(context: Context) -> None:
    """Delete all that a deleted organization logged, and note on its receipt how much that was."""
    receipt_id, deleted = context.arguments["receipt_id"], 0
    for things, number in purges.of_organization(context.arguments["organization_id"]):
        deletions.count(receipt_id, things, number)
        deleted += number
        context.progress("Deleting logs", deleted)
    deletions.finish(receipt_id, "logs")


@job("logs.import", timeout_s=3600)
def import_(context: Context) -> None:
    """Write what is left of an import; what came of it is in the import itself."""
    import_id = context.arguments["import_id"]
    try:
        for done, total in imports.run(context.actor, import_id):
            context.progress("Importing logs", done, total)
    except Cancelled:
        imports.drop_source(ObjectId(context.arguments["organization_id"]), ObjectId(import_id))
        raise


@job("logs.keep_zone", timeout_s=3600)
def keep_zone(context: Context) -> None:
    """Count an organization's days in the zone it has now."""
    try:
        _keep_zone(context, ObjectId(context.arguments["organization_id"]))
    except OrganizationNotFound:
        log.info("logs.organization_gone", organization=context.arguments["organization_id"])


def _keep_zone(context: Context, organization_id: ObjectId) -> None:
    zone = organizations.settings_of(str(organization_id)).timezone
    for done, _ in enumerate(rebuilding.keep_zone(organization_id, zone), 1):
        context.progress("Counting days", done)


@job("logs.tidy", timeout_s=4 * 3600)
def tidy(context: Context) -> Mapping[str, Any]:
    """Delete what is older than it is kept, and compare what was counted of the last days with the logs.

    Returns how much was deleted, and how many counts were wrong and were mended.
    """
    done: Counter[str] = Counter()
    for number, organization_id in enumerate(organizations.all_ids(), 1):
        try:
            settings = organizations.settings_of(str(organization_id))
        except OrganizationNotFound:
            continue
        oldest = organizations.oldest_kept(settings)
        for things, deleted in purges.before(organization_id, oldest):
            done[things] += deleted
            context.check()
        imports.drop_sources_of_ended(organization_id)
        _keep_zone(context, organization_id)
        done["wrong"] += _check(context, organization_id, oldest)
        context.progress("Tidying organizations", number)
    return dict(done)


def _check(context: Context, organization_id: ObjectId, oldest: datetime) -> int:
    since, wrong = max(clock.now() - timedelta(days=CHECKED_DAYS), oldest), 0
    for day in rebuilding.days_of(organization_id):
        if day >= since:
            found = rebuilding.check(organization_id, day, oldest=oldest)
            wrong += found.wrong
            context.check()
            if found.wrong:
                log.warning(
                    "usage.drifted", organization=str(organization_id), day=str(day.date()), wrong=found.wrong
                )
    metrics.count_drift(wrong)
    return wrong
