"""What can be wrong with an export."""

from typing import ClassVar

from devicehub.core.errors import Conflict, DeviceHubError, InvalidInput, NotFound
from devicehub.core.files import StorageFull


class ExportNotFound(NotFound):
    code = "EXPORT_NOT_FOUND"
    title = "Export not found"
    detail = "No export {job_id} of yours."


class ExportNotReady(Conflict):
    code = "EXPORT_NOT_READY"
    title = "Export not ready"
    detail = "The export {job_id} is {status}; there is nothing to download."


class ExportIsOver(Conflict):
    code = "INVALID_STATE"
    title = "Invalid state"
    detail = "The export {job_id} has ended already."


class ExportIsNotOver(Conflict):
    code = "INVALID_STATE"
    title = "Invalid state"
    detail = "The export {job_id} goes on; cancel it first."


class ExportExpired(DeviceHubError):
    status: ClassVar[int] = 410
    code = "EXPORT_EXPIRED"
    title = "Export expired"
    detail = "The file of the export {job_id} is not kept any more; ask for it anew."


class ExportTooLarge(InvalidInput):
    code = "EXPORT_TOO_LARGE"
    title = "Export too large"
    detail = "More than {limit} logs match; ask for a shorter range, or for an export in the background."


class ExportTooWide(InvalidInput):
    code = "EXPORT_TOO_WIDE"
    title = "Export too wide"
    detail = "More than {limit} different events occur in the range; name those that are to be columns."


class ExportStorageFull(StorageFull):
    code = "EXPORT_STORAGE_FULL"
    title = "Storage full"
    detail = "There is not enough room for the file: less than {reserve} MB would stay free."


class ExporterGone(NotFound):
    code = "EXPORTER_GONE"
    title = "Exporter gone"
    detail = "Whoever asked for this export does not belong to the organization any more."
