"""Where the files of exports lie: in a store of their own, in MongoDB."""

from devicehub.core.files import Store
from devicehub.exports.errors import ExportStorageFull

FILES = Store("exports", full=ExportStorageFull)
