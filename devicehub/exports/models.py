"""What exports there are: each is a job of this name."""

NAME = "exports.build"

TYPES = ("logs", "usage_report", "device_report")
LOG_FORMATS = ("csv", "json", "ndjson")
FORMATS = (*LOG_FORMATS, "xlsx", "pdf")
LAYOUTS = ("long", "wide")
