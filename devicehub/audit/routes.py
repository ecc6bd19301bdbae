"""The audit trail: its door."""

from typing import Any

from flask.views import MethodView

from devicehub.audit import schemas
from devicehub.audit import service as audit
from devicehub.core.errors import Forbidden, InvalidDateRange
from devicehub.web import pagination
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint("audit", __name__, url_prefix="/api/organizations", description="Who did what, and how it ended.")


@blp.route("/<id:organization_id>/audit")
class AuditTrail(MethodView):
    @blp.guard("admin", in_path=True)
    @blp.arguments(schemas.AuditQuerySchema, location="query")
    @blp.response(200, schemas.AuditEntryCursorListSchema)
    @blp.raises(Forbidden, InvalidDateRange)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Read the audit trail

        Newest first; `hash` and `previous` chain the entries.
        """
        actor = current_actor()
        of = ("audit", actor.organization_id)
        found = audit.find(actor, query, pagination.take_cursor(query, *of))
        return pagination.cursor_list(found, *of)
