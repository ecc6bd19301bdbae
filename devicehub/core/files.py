"""Large files in MongoDB (GridFS), where any process on any machine finds them: written once, read in parts."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bson import Int64, ObjectId
from gridfs import GridFSBucket, NoFile
from pymongo import WriteConcern

from devicehub.core import clock, mongo
from devicehub.core.errors import DeviceHubError

CHUNK = 1 << 20
LOOK_EVERY = 64 << 20
_MB = 1 << 20


class StorageFull(DeviceHubError):
    """Trying again makes no room, so it counts as what was asked for in vain: whoever asked is told at once."""

    status = 409
    code = "STORAGE_FULL"
    title = "Storage full"
    detail = "Less than {reserve} MB are free where files are kept."


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is complete: its size in bytes, and the SHA-256 of them in hex."""

    id: ObjectId
    size: int
    sha256: str


class Store:
    """The files of one kind: the collections `<name>.files` and `<name>.chunks`."""

    def __init__(self, name: str, *, full: type[StorageFull] = StorageFull) -> None:
        self._name, self._full = name, full

    def create(self, file_id: ObjectId, filename: str, *, reserve_mb: int) -> "Writer":
        """Begin a file, while more than `reserve_mb` are free; raises StorageFull."""
        return Writer(self._name, file_id, filename, reserve_mb, self._full)

    def read(self, file_id: ObjectId, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` until just before `end`, a chunk at a time.

        Each chunk is a query of its own: whoever reads slowly holds no cursor that could lapse.
        """
        chunks = mongo.database()[f"{self._name}.chunks"]
        for number in range(start // CHUNK, -(-end // CHUNK)):
            row = chunks.find_one({"files_id": file_id, "n": number}, {"data": 1, "_id": 0})
            if row is None:
                raise LookupError(f"chunk {number} of the file {file_id} is not there")
            begin = number * CHUNK
            yield row["data"][max(start - begin, 0) : end - begin]

    def delete(self, file_id: ObjectId) -> None:
        """Remove a file, or what was written of one that was never finished; again is no harm."""
        with suppress(NoFile):  # its chunks are gone even so
            GridFSBucket(mongo.database(), self._name).delete(file_id)

    def ids(self) -> set[ObjectId]:
        """Of all that is there, finished or not."""
        db = mongo.database()
        whole, parts = db[f"{self._name}.files"].distinct("_id"), db[f"{self._name}.chunks"].distinct("files_id")
        return {*whole, *parts}


class Writer(io.RawIOBase):
    """A file being written: `finish` makes it one, and `discard` leaves nothing of it.

    As GridFS lays it down, but a chunk is written as soon as it is full; the library holds back 32 MB. Chunks wait
    for no majority: the file's own document, the last to be written, does.
    """

    def __init__(
        self, name: str, file_id: ObjectId, filename: str, reserve_mb: int, full: type[StorageFull]
    ) -> None:
        self.id, self.size = file_id, 0
        self._filename, self._reserve_mb, self._full = filename, reserve_mb, full
        self._check_space()
        db = mongo.database()
        self._files = db[f"{name}.files"]
        self._chunks = db[f"{name}.chunks"].with_options(write_concern=WriteConcern(w=1))
        self._rest, self._number = bytearray(), 0
        self._hash, self._look_at = hashlib.sha256(), LOOK_EVERY

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Add bytes to it; raises StorageFull."""
        self._rest += data
        self._hash.update(data)
        self.size += len(data)
        while len(self._rest) >= CHUNK:
            self._put(CHUNK)
        if self.size >= self._look_at:
            self._check_space()
            self._look_at = self.size + LOOK_EVERY
        return len(data)

    def _put(self, length: int) -> None:
        self._chunks.insert_one({"files_id": self.id, "n": self._number, "data": bytes(self._rest[:length])})
        self._number += 1
        del self._rest[:length]

    def finish(self) -> Stored:
        """It is whole, and there from now on."""
        if self._rest:
            self._put(len(self._rest))
        about = {"length": Int64(self.size), "chunkSize": CHUNK, "uploadDate": clock.now()}
        self._files.insert_one({"_id": self.id, "filename": self._filename, **about})
        return Stored(self.id, self.size, self._hash.hexdigest())

    def discard(self) -> None:
        """Remove what was written of it."""
        self._files.delete_one({"_id": self.id})
        self._chunks.delete_many({"files_id": self.id})

    def _check_space(self) -> None:
        stats = mongo.database().command("dbStats")
        if stats["fsTotalSize"] - stats["fsUsedSize"] < self._reserve_mb * _MB:
            raise self._full(reserve=self._reserve_mb)
