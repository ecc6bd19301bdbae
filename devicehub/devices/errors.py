"""What can be wrong with a device."""

from devicehub.core.errors import Conflict, Forbidden, NotFound


class DeviceNotFound(NotFound):
    code = "DEVICE_NOT_FOUND"
    title = "Device not found"
    detail = "No device {device_id} in this organization."


class DeviceKeyNotFound(NotFound):
    code = "DEVICE_KEY_NOT_FOUND"
    title = "Device key not found"
    detail = "No key {key_id} of this device."


class DuplicateSerialNumber(Conflict):
    code = "DUPLICATE_ENTRY"
    title = "Duplicate entry"
    detail = "Another device of this organization has this serial number."


class DeviceNotYours(Forbidden):
    detail = "This device belongs to somebody else; changing it takes the role admin."


class KeysMakeNoKeys(Forbidden):
    detail = "Keys are made by people: sign in for it."
