"""SSE streams: bounded, commented, and ended when nobody reads them."""

import socket
import threading
from collections.abc import Iterator

import pytest

from devicehub.core.actor import Actor
from devicehub.realtime import streaming, streams
from devicehub.realtime.hub import ours
from devicehub.realtime.streams import COMMENT, MOST_BYTES, MOST_EVENTS, RETRY, Stream
from tests.conftest import wait_until
from tests.factories import make_account

Connection = tuple[socket.socket, socket.socket]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """The two ends of a TCP connection: the server's and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        client.settimeout(10)
        yield server, client


def make(connection: socket.socket | None = None) -> Stream:
    return Stream(Actor("a-user", "an-organization", "viewer"), frozenset({"org"}), connection)


def test_frames_come_in_order() -> None:
    stream = make()
    for frame in (b"1", b"2", b"3"):
        stream.put(frame)
    frames = stream.frames()
    assert [next(frames) for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_waiting_stream_is_woken_by_a_frame() -> None:
    stream, got = make(), []
    reader = threading.Thread(target=lambda: got.append(next(stream.frames())))
    reader.start()
    stream.put(b"1")
    reader.join(10)
    assert got == [b"1"]


def test_comments_come_between_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "COMMENT_S", 0.05)
    stream = make()
    frames = stream.frames()
    assert [next(frames), next(frames)] == [COMMENT, COMMENT]
    stream.put(b"1")
    assert b"1" in (next(frames), next(frames))


def test_a_busy_stream_is_commented_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "COMMENT_S", 0.02)
    stream = make()

    def next_of_busy() -> bytes:
        stream.put(b"1")
        return next(frames)

    frames = stream.frames()
    wait_until(lambda: next_of_busy() == COMMENT, what="a comment")


@pytest.mark.parametrize("frame", [b"x", b"x" * (MOST_BYTES // 10)], ids=["events", "bytes"])
def test_a_client_that_falls_too_far_behind_is_cut_off(connection: Connection, frame: bytes) -> None:
    server, client = connection
    stream = make(server)
    count = min(MOST_EVENTS, MOST_BYTES // len(frame))
    for _ in range(count):
        stream.put(frame)
    client.setblocking(False)
    with pytest.raises(BlockingIOError):  # nothing yet, and no end
        client.recv(1)
    stream.put(frame)
    stream.put(frame)
    client.settimeout(10)
    assert client.recv(1) == b""
    assert list(stream.frames()) == []


def test_a_finished_stream_is_sent_what_waits_and_its_last_words() -> None:
    stream, got = make(), []
    stream.put(b"1")
    frames = stream.frames()
    assert next(frames) == b"1"
    reader = threading.Thread(target=lambda: got.extend(frames))
    reader.start()
    stream.put(b"2")
    stream.finish(b"goodbye")
    stream.put(b"too late")
    reader.join(10)
    assert got == [b"2", b"goodbye"]


def test_closing_ends_a_write_to_a_client_that_does_not_read(connection: Connection) -> None:
    server, client = connection
    for end, option in ((server, socket.SO_SNDBUF), (client, socket.SO_RCVBUF)):
        end.setsockopt(socket.SOL_SOCKET, option, 4096)
    stream, failed = make(server), threading.Event()

    def write() -> None:
        try:
            for frame in stream.frames():
                server.sendall(frame)
        except OSError:
            failed.set()

    stream.put(b"x" * MOST_BYTES)
    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: not stream._frames, what="the write to begin")
    assert not failed.is_set()
    stream.close()
    writer.join(10)
    assert failed.is_set()


def test_a_client_that_went_away_is_noticed_at_the_next_comment(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a write: the first one after a client's end succeeds, and would tell nothing."""
    monkeypatch.setattr(streams, "COMMENT_S", 0.05)
    server, client = connection
    frames = make(server).frames()
    assert next(frames) == COMMENT
    client.close()
    wait_until(lambda: next(frames, None) is None, what="the end of the stream")


@pytest.mark.usefixtures("app")
def test_one_that_was_being_let_in_as_the_process_began_to_end_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = streaming.stream(make_account().actor, None)
    monkeypatch.setattr(ours(), "is_draining", True)
    assert list(frames) == [RETRY]
