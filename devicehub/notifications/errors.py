"""What can be wrong with a notification."""

from devicehub.core.errors import NotFound


class NotificationNotFound(NotFound):
    code = "NOTIFICATION_NOT_FOUND"
    title = "Notification not found"
    detail = "No notification {notification_id} of yours."
