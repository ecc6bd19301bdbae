"""Organizations, their members and invitations: the doors.

The organization is the one in the path, active or not; a guard that says so binds the caller to it.
"""

from typing import Any

import orjson
from flask import Response, url_for
from flask.views import MethodView

from devicehub.core.actor import Role
from devicehub.core.cache import Cached
from devicehub.core.errors import Busy, Forbidden, InsufficientRole
from devicehub.organizations import deletions, errors, invitations, members, schemas
from devicehub.organizations import service as organizations
from devicehub.organizations.models import Organization
from devicehub.web import conditional, idempotency
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor
from devicehub.web.pagination import enveloped, take_page
from devicehub.web.responses import json_response
from devicehub.web.schemas import PageQuerySchema

blp = Blueprint(
    "organizations", __name__, url_prefix="/api", description="Organizations, who belongs to them and as what."
)

_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where it is."}}
_organization = schemas.OrganizationSchema()


@blp.route("/organizations")
class Organizations(MethodView):
    @blp.guard()
    @blp.arguments(PageQuerySchema, location="query")
    @conditional.documented
    @blp.response(200, schemas.OrganizationListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List the organizations one belongs to"""
        page = take_page(query)
        body = enveloped(schemas.OrganizationSchema, *organizations.find(current_actor(), page), page)
        return conditional.answer(Cached(orjson.dumps(body), "BYPASS"))

    @blp.guard()
    @blp.arguments(schemas.NewOrganizationSchema)
    @idempotency.accepted
    @blp.response(201, schemas.OrganizationSchema, headers=_LOCATION)
    @blp.raises(errors.TooMany, Forbidden)
    def post(self, fields: dict[str, Any]) -> Response:
        """Make an organization of one's own"""
        made = organizations.create_own(current_actor(), fields, organization_id=idempotency.derived_id())
        where = url_for("organizations.OrganizationById", organization_id=made.id)
        return json_response(_shown(made, "owner"), 201, {"Location": where})


@blp.route("/organizations/<id:organization_id>")
class OrganizationById(MethodView):
    @blp.guard(in_path=True)
    @conditional.documented
    @blp.response(200, schemas.OrganizationSchema)
    def get(self) -> Response:
        """Read an organization"""
        found = organizations.get(current_actor())
        payload = orjson.dumps(_shown(found, current_actor().role))
        tag = conditional.etag(found.revision, payload)
        return conditional.answer(Cached(payload, "BYPASS"), tag=tag, modified_at=organizations.modified_at(found))

    @blp.guard("admin", in_path=True)
    @blp.arguments(schemas.OrganizationPatchSchema, required=False)
    @conditional.matched
    @blp.response(200, schemas.OrganizationSchema)
    @blp.raises(Busy)
    def patch(self, changes: dict[str, Any]) -> Response:
        """Rename an organization or change its settings"""
        actor, seen = current_actor(), conditional.expected_revision()
        found = organizations.update(actor, changes, revision=seen)
        return conditional.changed(orjson.dumps(_shown(found, actor.role)), found.revision)

    @blp.guard("owner", in_path=True)
    @conditional.matched
    @blp.response(202, schemas.DeletionSchema, headers=_LOCATION)
    @blp.raises(errors.LastOrganization, Busy)
    def delete(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Delete an organization

        Nobody is a member any more at once; its devices go in the background, and the receipt tells when.
        """
        receipt = deletions.delete(current_actor(), revision=conditional.expected_revision())
        return receipt, {"Location": url_for("organizations.DeletionById", receipt_id=receipt["receipt_id"])}


@blp.route("/organizations/deletions/<id:receipt_id>")
class DeletionById(MethodView):
    @blp.guard()
    @blp.response(200, schemas.DeletionSchema)
    @blp.raises(errors.DeletionNotFound)
    def get(self, receipt_id: str) -> dict[str, Any]:
        """Read the receipt for a deletion of one's own"""
        return deletions.get(current_actor(), receipt_id)


@blp.route("/organizations/<id:organization_id>/permissions")
class Permissions(MethodView):
    @blp.guard(in_path=True)
    @blp.response(200, schemas.PermissionsSchema)
    def get(self) -> dict[str, Any]:
        """Read what one may do in an organization"""
        role = current_actor().role
        return {"role": role, "permissions": organizations.permissions(role)}


@blp.route("/organizations/<id:organization_id>/members")
class Members(MethodView):
    @blp.guard("admin", in_path=True)
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.MemberListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List the members of an organization"""
        page = take_page(query)
        return json_response(enveloped(schemas.MemberSchema, *members.find(current_actor(), page), page))


@blp.route("/organizations/<id:organization_id>/members/<id:user_id>")
class MemberById(MethodView):
    @blp.guard("admin", in_path=True)
    @blp.arguments(schemas.MemberPatchSchema)
    @blp.response(200, schemas.MemberSchema)
    @blp.raises(errors.MemberNotFound, errors.LastOwner, Busy)
    def patch(self, changes: dict[str, Any], user_id: str) -> dict[str, Any]:
        """Give a member another role

        Only an owner changes owners, or makes one. The last owner stays.
        """
        return members.change_role(current_actor(), user_id, changes["role"])

    @blp.guard(in_path=True)
    @blp.response(204)
    @blp.raises(errors.MemberNotFound, errors.LastOwner, InsufficientRole, Busy)
    def delete(self, user_id: str) -> None:
        """End a membership

        Everybody may end their own; others' take the role admin, and an owner's takes an owner.
        """
        members.remove(current_actor(), user_id)


@blp.route("/organizations/<id:organization_id>/invitations")
class Invitations(MethodView):
    @blp.guard("admin", in_path=True)
    @blp.arguments(PageQuerySchema, location="query")
    @blp.response(200, schemas.InvitationListSchema)
    def get(self, query: dict[str, Any]) -> Response:
        """List the open invitations to an organization"""
        page = take_page(query)
        return json_response(enveloped(schemas.InvitationSchema, *invitations.find(current_actor(), page), page))

    @blp.guard("admin", in_path=True, limit="invitation")
    @blp.arguments(schemas.NewInvitationSchema)
    @blp.response(201, schemas.InvitationSchema)
    @blp.raises(errors.AlreadyMember, errors.TooMany, Busy)
    def post(self, invitation: dict[str, Any]) -> dict[str, Any]:
        """Invite somebody by mail

        Good once, for 7 days and for this address only; an earlier invitation of the same address is void.
        """
        return invitations.create(current_actor(), **invitation)


@blp.route("/organizations/<id:organization_id>/invitations/<id:invitation_id>")
class InvitationById(MethodView):
    @blp.guard("admin", in_path=True)
    @blp.response(204)
    @blp.raises(errors.InvitationNotFound, Busy)
    def delete(self, invitation_id: str) -> None:
        """Take an invitation back"""
        invitations.revoke(current_actor(), invitation_id)


@blp.route("/invitations/accept")
class Acceptance(MethodView):
    @blp.guard()
    @blp.arguments(schemas.InvitationTokenSchema)
    @blp.response(200, schemas.OrganizationSchema)
    @blp.raises(errors.InvitationNotFound, errors.AlreadyMember, errors.TooMany, Forbidden, Busy)
    def post(self, invitation: dict[str, Any]) -> dict[str, Any]:
        """Accept an invitation

        It must be made out to the caller's own e-mail address; anybody else's does not exist.
        """
        return organizations.describe(*invitations.accept(current_actor(), invitation["token"]))


def _shown(organization: Organization, role: Role) -> dict[str, Any]:
    shown: dict[str, Any] = _organization.dump(organizations.describe(organization, role))
    return shown
