"""Organizations in paths: `/api/organizations/<id>/...`."""

from bson import ObjectId

from devicehub.core import ids
from devicehub.core.actor import Actor
from devicehub.organizations.service import OrganizationNotFound

__all__ = ["OrganizationNotFound", "require_active"]


def require_active(actor: Actor, organization_id: str) -> None:
    """Raise OrganizationNotFound unless the path names the caller's active organization.

    For features that rank before `organizations`, and so know of no other membership: role and rights of an
    Actor are those in this one.
    """
    if ids.parse(organization_id) != ObjectId(actor.organization_id):
        raise OrganizationNotFound(organization_id=organization_id)
