"""Files in MongoDB: as the library reads them, and nothing left of those that came to nothing."""

import pytest
from bson import ObjectId
from flask import Flask
from gridfs import GridFSBucket

from devicehub.core import mongo
from devicehub.core.files import StorageFull, Store

FILES = Store("papers")


@pytest.fixture(autouse=True)
def small_chunks(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devicehub.core.files.CHUNK", 10)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 35])
def test_the_library_reads_what_was_written_and_so_do_we_in_parts(size: int) -> None:
    content, file_id = bytes(range(size)), ObjectId()
    writer = FILES.create(file_id, "paper", reserve_mb=0)
    for start in range(0, size, 4):
        writer.write(content[start : start + 4])
    stored = writer.finish()

    assert GridFSBucket(mongo.database(), "papers").open_download_stream(file_id).read() == content
    assert (stored.id, stored.size) == (file_id, size)
    for start in range(size):
        assert b"".join(FILES.read(file_id, start, size)) == content[start:]
        assert b"".join(FILES.read(file_id, 0, start)) == content[:start]


def test_nothing_is_left_of_what_is_discarded_or_deleted() -> None:
    for end in ("discarded", "deleted"):
        writer = FILES.create(ObjectId(), end, reserve_mb=0)
        writer.write(b"x" * 25)
        assert FILES.ids() == {writer.id}
        if end == "discarded":
            writer.discard()
        else:
            FILES.delete(writer.finish().id)
        assert FILES.ids() == set()
    FILES.delete(writer.id)


def test_no_file_is_begun_where_there_is_no_room() -> None:
    with pytest.raises(StorageFull):
        FILES.create(ObjectId(), "paper", reserve_mb=1 << 40)
