"""What can be wrong with a device."""

from devicehub.core.errors import Conflict, Forbidden, NotFound


class DeviceNotFound(NotFound):
    code = "DEVICE_NOT_FOUND"
    title = "Device not found"
    detail = "No device {device_id} in this organization."


class DuplicateSerialNumber(Conflict):
    code = "DUPLICATE_ENTRY"
    title = "Duplicate entry"
    detail = "Another device of this organization has this serial number."


class DeviceNotYours(Forbidden):
    detail = "This device belongs to somebody else; changing it takes the role admin."
