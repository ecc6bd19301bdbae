"""What can be wrong with a schedule of reports."""

from devicehub.core.errors import NotFound


class ScheduleNotFound(NotFound):
    code = "REPORT_SCHEDULE_NOT_FOUND"
    title = "Report schedule not found"
    detail = "No report schedule {schedule_id} of yours."
