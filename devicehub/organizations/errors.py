"""What can be wrong with an organization, a membership or an invitation."""

from devicehub.core.errors import Conflict, NotFound


class OrganizationNotFound(NotFound):
    code = "ORGANIZATION_NOT_FOUND"
    title = "Organization not found"
    detail = "No organization {organization_id} of yours."


class MemberNotFound(NotFound):
    code = "MEMBER_NOT_FOUND"
    title = "Member not found"
    detail = "No member {user_id} of this organization."


class InvitationNotFound(NotFound):
    code = "INVITATION_NOT_FOUND"
    title = "Invitation not found"
    detail = "No such invitation is open to you."


class DeletionNotFound(NotFound):
    code = "DELETION_NOT_FOUND"
    title = "Deletion not found"
    detail = "No deletion {receipt_id} of yours."


class LastOwner(Conflict):
    code = "INVALID_STATE"
    title = "Invalid state"
    detail = "An organization keeps at least one owner; make another one first."


class LastOrganization(Conflict):
    code = "INVALID_STATE"
    title = "Invalid state"
    detail = "This is the only organization you belong to; make another one first."


class AlreadyMember(Conflict):
    code = "DUPLICATE_ENTRY"
    title = "Duplicate entry"
    detail = "Whoever has this e-mail address belongs to the organization already."


class TooMany(Conflict):
    detail = "There may be at most {limit} {things}."
