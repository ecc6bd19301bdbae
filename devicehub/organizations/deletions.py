"""Deleting an organization: its members are out at once, and what belongs to it follows in the background.

Each feature that keeps something of an organization deletes its part in a job of its own (`reactions.py` names
them) and says so on the receipt. The receipt, and a job that looks after it, are written *before* the organization
is marked: whoever dies in between has promised nothing, and from whoever dies after it the job takes over.
"""

from datetime import timedelta
from typing import Any

from bson import ObjectId

from devicehub.audit import service as audit
from devicehub.core import clock, ids
from devicehub.core.actor import Actor
from devicehub.core.errors import PreconditionFailed
from devicehub.core.events import emit
from devicehub.jobs import service as jobs
from devicehub.organizations import members
from devicehub.organizations import service as organizations
from devicehub.organizations.errors import DeletionNotFound, LastOrganization
from devicehub.organizations.models import Deletion, Organization
from devicehub.users import service as users

# The features that have something to delete.
PARTS = ("organizations", "auth", "devices", "logs", "notifications", "webhooks", "reports", "exports")
LOOKED_AFTER = timedelta(minutes=1)


def delete(actor: Actor, *, revision: int | None = None) -> dict[str, Any]:
    """Delete the caller's organization; returns the receipt.

    Raises LastOrganization, OrganizationNotFound, InsufficientRole, or PreconditionFailed when `revision` is not
    its own any more.
    """
    if organizations.memberships(actor.user_id).keys() == {actor.organization_id}:
        raise LastOrganization()
    receipt = _promise(actor)
    with audit.intended(actor, "organization.deleted", target=actor.organization_id):
        former = _mark(actor, receipt, revision)
    users.outdate_tokens(str(one["user_id"]) for one in former if str(one["user_id"]) != actor.user_id)
    users.forget([actor.user_id])  # who did it knows, and goes on in another organization with the same token
    _tell(actor, receipt)  # first: it is why the memberships end, and what their connections are told
    for one in former:
        members.tell("member.removed", actor, one["user_id"], one["role"])
    return _describe(receipt)


def _promise(actor: Actor) -> Deletion:
    moment = clock.now()
    receipt = Deletion(
        id=ObjectId(),
        organization_id=ObjectId(actor.organization_id),
        name=organizations.get(actor).name,
        user_id=ObjectId(actor.user_id),
        waiting=list(PARTS),
        created_at=moment,
    )
    receipt.save(force_insert=True)
    about = {"receipt_id": str(receipt.id)}
    jobs.enqueue("organizations.look_after_deletion", about, actor=actor, run_at=moment + LOOKED_AFTER)
    return receipt


def _mark(actor: Actor, receipt: Deletion, revision: int | None) -> list[dict[str, Any]]:
    """End every membership and invitation in one update; returns who was a member."""
    mine = organizations.held_by(actor, "owner") | ({} if revision is None else {"revision": revision})
    emptied = {"members": [], "invitations": [], "deleted_at": clock.now()}
    before = Organization._get_collection().find_one_and_update(
        mine, [{"$set": {"former_members": "$members.user_id", **emptied}}], projection={"members": 1}
    )
    if before is None:
        receipt.delete()
        raise organizations.why_not(actor, "owner", otherwise=PreconditionFailed())
    former: list[dict[str, Any]] = before["members"]
    return former


def _tell(actor: Actor, receipt: Deletion) -> None:
    organization_id = str(receipt.organization_id)
    emit("organization.deleted", actor, organization_id=organization_id, receipt_id=str(receipt.id))


def get(actor: Actor, receipt_id: str) -> dict[str, Any]:
    """The receipt for a deletion of the caller's own; raises DeletionNotFound."""
    wanted = ids.parse(receipt_id)
    receipt: Deletion | None = None
    if wanted is not None and actor.kind == "user":
        receipt = Deletion.objects(id=wanted, user_id=ObjectId(actor.user_id)).first()
    if receipt is None:
        raise DeletionNotFound(receipt_id=receipt_id)
    return _describe(receipt)


def look_after(receipt_id: str) -> None:
    """Let go of a deletion that did not come about, and tell again of one that nobody has been told of."""
    receipt: Deletion | None = Deletion.objects(id=ObjectId(receipt_id)).first()
    if receipt is None or not receipt.waiting:
        return
    if organizations.is_there(str(receipt.organization_id)):
        receipt.delete()
        return
    _tell(Actor(str(receipt.user_id), str(receipt.organization_id), "owner", kind="system"), receipt)


def purge(organization_id: str, receipt_id: str) -> None:
    """Delete what is left of a deleted organization itself; again is no harm."""
    marked = Organization.objects(id=ObjectId(organization_id), deleted_at__ne=None)
    organization: Organization | None = marked.first()
    if organization is not None:
        users.forget(str(member_id) for member_id in organization.former_members)
        count(receipt_id, "organizations", marked.delete())
    finish(receipt_id, "organizations")


def count(receipt_id: str, things: str, number: int) -> None:
    """Note on the receipt that so many have been deleted."""
    noted = {"$inc": {f"counts.{things}": number}}
    Deletion._get_collection().update_one({"_id": ObjectId(receipt_id)}, noted)


def finish(receipt_id: str, part: str) -> None:
    """Note on the receipt that one of `PARTS` is done; with the last of them the deletion is."""
    rest = {"$filter": {"input": "$waiting", "cond": {"$ne": ["$$this", part]}}}
    is_whole = {"$eq": ["$waiting", []]}
    done = {"$cond": [is_whole, {"$ifNull": ["$completed_at", clock.now()]}, "$$REMOVE"]}
    Deletion._get_collection().update_one(
        {"_id": ObjectId(receipt_id)}, [{"$set": {"waiting": rest}}, {"$set": {"completed_at": done}}]
    )


def _describe(receipt: Deletion) -> dict[str, Any]:
    """A receipt as `DeletionSchema` shows it."""
    return {
        "receipt_id": str(receipt.id),
        "organization_id": str(receipt.organization_id),
        "name": receipt.name,
        "status": "pending" if receipt.waiting else "completed",
        "counts": receipt.counts,
        "created_at": receipt.created_at,
        "completed_at": receipt.completed_at,
    }
