"""DeviceHub, the open device-management backend."""

__version__ = "0.1.0"
