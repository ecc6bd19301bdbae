"""The way out of one connection: in order, each frame whole, without waiting, and not without bound."""

import socket
import threading
from collections.abc import Iterator

import pytest

from devicehub.realtime.outbox import MOST_BYTES, MOST_FRAMES, Outbox
from tests.conftest import wait_until

Connection = tuple[socket.socket, socket.socket]


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A connection that takes a few kilobytes and no more, until its client reads."""
    server, client = socket.socketpair()
    for end, option in ((server, socket.SO_SNDBUF), (client, socket.SO_RCVBUF)):
        end.setsockopt(socket.SOL_SOCKET, option, 4096)
    with client, server:
        client.settimeout(10)
        yield server, client


def read(client: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (chunk := client.recv(size - len(got))):
        got += chunk
    return got


def test_what_the_connection_takes_is_sent_at_once(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    outbox.post(b"hello")
    assert (len(outbox), client.recv(100)) == (0, b"hello")


def test_posting_never_waits_and_what_is_left_follows_whole_and_in_order(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    frames = [b"%03d" % number * 997 for number in range(100)]
    for frame in frames:  # nobody reads
        outbox.post(frame)
    assert len(outbox) > 50
    assert read(client, sum(map(len, frames))) == b"".join(frames)
    wait_until(lambda: len(outbox) == 0, what="nothing to wait any more")
    outbox.post(b"after")
    assert client.recv(100) == b"after"


def test_what_is_held_leaves_together_and_before_what_is_posted(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    outbox.hold(b"one ")
    outbox.hold(b"two ")
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(100)
    outbox.post(b"three")
    assert (client.recv(100), len(outbox)) == (b"one two three", 0)
    outbox.flush()


def test_those_who_post_at_once_do_not_mix_their_frames(connection: Connection) -> None:
    server, client = connection
    outbox, size, count = Outbox(server), 20_011, 5
    threads = [
        threading.Thread(target=lambda letter=letter: [outbox.post(letter * size) for _ in range(count)])
        for letter in (b"a", b"b", b"c")
    ]
    for thread in threads:
        thread.start()
    got = read(client, 3 * size * count)
    for thread in threads:
        thread.join()
    frames = [got[start : start + size] for start in range(0, len(got), size)]
    assert sorted(frames) == [letter * size for letter in (b"a", b"b", b"c") for _ in range(count)]


@pytest.mark.parametrize("frame", [b"x" * 8, b"x" * (MOST_BYTES // 10)], ids=["frames", "bytes"])
def test_who_falls_too_far_behind_is_hung_up_on(connection: Connection, frame: bytes) -> None:
    server, client = connection
    outbox = Outbox(server)
    outbox.post(b"y" * (MOST_BYTES // 2))  # more than the connection takes
    posted = 0
    while posted < MOST_FRAMES and not outbox._is_closed:
        outbox.post(frame)
        posted += 1
    outbox.post(frame)
    assert outbox._is_closed and len(outbox) == 0
    assert posted >= min(MOST_FRAMES - 1, MOST_BYTES // len(frame) // 2 - 1)
    while client.recv(1 << 16):  # comes to an end
        pass
    outbox.post(frame)
    assert len(outbox) == 0


def test_one_frame_may_be_of_any_size(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    outbox.post(b"x" * 2 * MOST_BYTES)
    assert read(client, 2 * MOST_BYTES) == b"x" * 2 * MOST_BYTES


def test_finishing_waits_until_all_was_sent_or_patience_ends(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    outbox.post(b"x" * 100_000)
    outbox.finish(0.05)
    assert len(outbox) == 1
    finishing = threading.Thread(target=outbox.finish, args=(10,))
    finishing.start()
    assert read(client, 100_000) == b"x" * 100_000
    finishing.join(10)
    assert not finishing.is_alive() and len(outbox) == 0


def test_a_connection_that_broke_takes_nothing_and_raises_nothing(connection: Connection) -> None:
    server, client = connection
    outbox = Outbox(server)
    client.close()
    for _ in range(3):
        outbox.post(b"x")
    server.close()
    Outbox(server).post(b"x")
