"""Notifications: the doors. Everybody finds their own, whatever organization is the active one."""

from typing import Any

from flask.views import MethodView

from devicehub.core.errors import Busy
from devicehub.devices.errors import DeviceNotFound, DeviceNotYours
from devicehub.notifications import rules, schemas
from devicehub.notifications import service as notifications
from devicehub.notifications.errors import NotificationNotFound
from devicehub.web import pagination
from devicehub.web.blueprint import Blueprint
from devicehub.web.identity import current_actor

blp = Blueprint(
    "notifications", __name__, url_prefix="/api/notifications", description="What is for one person alone."
)


@blp.route("")
class Notifications(MethodView):
    @blp.guard()
    @blp.arguments(schemas.NotificationQuerySchema, location="query")
    @blp.response(200, schemas.NotificationCursorListSchema)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """List one's notifications

        The last 100, of 90 days, newest first, of all one's organizations.
        """
        actor = current_actor()
        of = ("notifications", actor.user_id)
        after = pagination.take_cursor(query, *of)
        return pagination.cursor_list(notifications.find(actor, after, **query), *of)

    @blp.guard()
    @blp.response(204)
    def delete(self) -> None:
        """Clear one's notifications"""
        notifications.clear(current_actor())


@blp.route("/unread-count")
class UnreadCount(MethodView):
    @blp.guard()
    @blp.response(200, schemas.UnreadCountSchema)
    def get(self) -> dict[str, int]:
        """Count the notifications one has not read"""
        return {"count": notifications.count_unread(current_actor())}


@blp.route("/read-all")
class ReadAll(MethodView):
    @blp.guard()
    @blp.response(200, schemas.ReadAllSchema)
    def post(self) -> dict[str, int]:
        """Note that one has read all notifications"""
        return {"read": notifications.read_all(current_actor())}


@blp.route("/<id:notification_id>/read")
class Read(MethodView):
    @blp.guard()
    @blp.response(200, schemas.NotificationSchema)
    @blp.raises(NotificationNotFound)
    def post(self, notification_id: str) -> dict[str, Any]:
        """Note that one has read a notification"""
        return notifications.read(current_actor(), notification_id)


@blp.route("/rules")
class OfflineRule(MethodView):
    @blp.guard()
    @blp.response(200, schemas.OfflineRuleSchema)
    def get(self) -> dict[str, Any]:
        """Read when people are told that a device is offline

        In the active organization.
        """
        return rules.get(current_actor())

    @blp.guard("admin")
    @blp.arguments(schemas.OfflineRulePatchSchema, required=False)
    @blp.response(200, schemas.OfflineRuleSchema)
    @blp.raises(Busy)
    def patch(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change when people are told that a device is offline

        What waits is judged anew.
        """
        return rules.update(current_actor(), changes)


@blp.route("/rules/<id:device_id>")
class DeviceOfflineRule(MethodView):
    @blp.guard()
    @blp.response(200, schemas.DeviceOfflineRuleSchema)
    @blp.raises(DeviceNotFound)
    def get(self, device_id: str) -> dict[str, Any]:
        """Read when people are told that this device is offline"""
        return rules.get_for(current_actor(), device_id)

    @blp.guard("operator")
    @blp.arguments(schemas.DeviceOfflineRulePatchSchema, required=False)
    @blp.response(200, schemas.DeviceOfflineRuleSchema)
    @blp.raises(DeviceNotFound, DeviceNotYours, Busy)
    def patch(self, changes: dict[str, Any], device_id: str) -> dict[str, Any]:
        """Change when people are told that this device is offline

        What is null is as in its organization.
        """
        return rules.update_for(current_actor(), device_id, changes)
