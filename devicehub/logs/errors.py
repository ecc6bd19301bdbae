"""What can be wrong with an import."""

from devicehub.core.errors import Conflict, NotFound


class ImportNotFound(NotFound):
    code = "IMPORT_NOT_FOUND"
    title = "Import not found"
    detail = "No import {import_id} of yours."


class ImportSourceGone(Conflict):
    code = "IMPORT_SOURCE_GONE"
    title = "Import source gone"
    detail = "What was left of the import {import_id} was deleted when it ended; send it again."
