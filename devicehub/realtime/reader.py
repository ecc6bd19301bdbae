"""The reader: one a process. It hears the log of every organization that somebody here listens to.

A feed is *settled* once its channel is subscribed and its position in the stream is known; from then on no
entry is missed and none is handed over twice: what comes over the line is compared with the position, and after
every loss of the line the stream itself is read on from there.
"""

import threading
import time
from collections.abc import Callable, Hashable

import structlog

from devicehub.core.redis import RedisAway
from devicehub.realtime.line import Heard, Line
from devicehub.realtime.log import Entry, EventLog, covers

log = structlog.get_logger(__name__)

# A newcomer waits this long for its feed to settle, and only while Redis is not known to be away.
SETTLE_S = 2.0
BURST_S, BUSY_S, BREATH_S = 0.005, 0.1, 0.001
# So much is handed over in one breath: well below what may wait for somebody who is not taken to be too slow.
MOST_IN_ONE, MUCH_IN_ONE = 200, 256 << 10

Deliver = Callable[[str, Entry], None]


class Feed:
    """One organization as this process hears it."""

    def __init__(self, organization_id: str) -> None:
        self.organization_id = organization_id
        self.listeners: set[Hashable] = set()
        self.position: str | None = None
        self.has_gap = False  # which its listeners are yet to be told of
        self.answered = threading.Event()  # settled, or the line is down: no use in waiting any longer


class Reader:
    """Hears entries and hands each to `deliver(organization_id, entry)`, one at a time, under `lock`.

    What comes on channels that are not the log's goes to `others(channel, message)`; `rest()` is called when there
    is nothing more to hear for now, and in long bursts every BURST_S; `lost(organization_id)`, under `lock`, where
    the window went on while the line was down.

    Whoever takes `lock` sees `head` and the set of its own receivers at one moment.
    """

    def __init__(
        self,
        line: Line,
        events: EventLog,
        deliver: Deliver,
        *,
        others: Callable[[str, bytes], None] | None = None,
        rest: Callable[[], None] = lambda: None,
        lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.lock = threading.RLock()
        self._line, self._events, self._deliver, self._others = line, events, deliver, others
        self._rest, self._lost = rest, lost
        self._feeds: dict[str, Feed] = {}
        self._is_down = False
        self._count = self._size = 0  # handed over, and not sent yet
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen, in a thread (a greenlet where threads are patched); once is enough."""
        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="realtime-reader", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._line.close()
        if self._thread is not None:
            self._thread.join()

    def follow(self, organization_id: str, listener: Hashable) -> None:
        """Hear an organization on behalf of `listener`, from `settle` on."""
        with self.lock:
            feed = self._feeds.get(organization_id)
            if feed is None:
                feed = self._feeds[organization_id] = Feed(organization_id)
                self._line.add(self._events.channel(organization_id))
            feed.listeners.add(listener)

    def settle(self, organization_id: str) -> None:
        """Wait until nothing of a followed organization can be missed any more, or Redis is away."""
        self.start()
        feed = self._feeds.get(organization_id)
        if feed is not None and not self._is_down:
            feed.answered.wait(SETTLE_S)

    def unfollow(self, organization_id: str, listener: Hashable) -> None:
        """Take a listener's interest back; a feed without listeners is given up."""
        with self.lock:
            feed = self._feeds.get(organization_id)
            if feed is None:
                return
            feed.listeners.discard(listener)
            if not feed.listeners:
                del self._feeds[organization_id]
                self._line.drop(self._events.channel(organization_id))

    def head(self, organization_id: str) -> str | None:
        """The id of the last entry that was handed over, None while it is not known."""
        feed = self._feeds.get(organization_id)
        return feed.position if feed is not None else None

    def reach(self, organization_id: str, entry_id: str) -> bool:
        """Wait until an entry that is in the stream was handed over here too; false when it was not in time."""
        deadline = time.monotonic() + SETTLE_S
        while (head := self.head(organization_id)) is None or not covers(head, entry_id):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def tell_here(self, organization_id: str, entry: Entry) -> None:
        """Hand an entry that could not be published to this process's own."""
        with self.lock:
            self._deliver(organization_id, entry)
        self._rest()

    def _run(self) -> None:
        rested_at = breathed_at = time.monotonic()
        for heard in self._line.listen():
            if heard.kind != "message":
                self._send_all()
            try:
                self._act_on(heard)
            except RedisAway:
                self._line.restart()
            except Exception:
                log.exception("realtime.reader_failed", kind=heard.kind)
                self._line.restart()
            moment = time.monotonic()
            if heard.kind != "message" or moment - rested_at > BURST_S:
                self._send_all()
                rested_at = moment = time.monotonic()  # or nothing would be gathered while it takes long to send
            # A line that always has more to read never waits; under gevent everybody else would.
            if heard.kind == "idle":
                breathed_at = moment
            elif moment - breathed_at > BUSY_S:
                time.sleep(BREATH_S)
                breathed_at = moment

    def _act_on(self, heard: Heard) -> None:
        if heard.kind == "message" and not self._events.owns(heard.channel):
            if self._others is not None:
                self._others(heard.channel, heard.message)
        elif heard.kind == "message":
            self._hear(heard)
        elif heard.kind == "subscribed":
            self._begin(self._events.organization_of(heard.channel))
        elif heard.kind != "idle":
            self._note_line(is_down=heard.kind == "down")

    def _note_line(self, *, is_down: bool) -> None:
        with self.lock:
            self._is_down = is_down
            if is_down:
                for feed in self._feeds.values():
                    feed.answered.set()

    def _hear(self, heard: Heard) -> None:
        feed = self._feeds.get(self._events.organization_of(heard.channel))
        if feed is None or feed.position is None:
            return  # of a subscription that was given up; the present one settles when it begins
        for entry in Entry.all_from_message(heard.message):
            self._hand(feed, entry)
            self._breathe(entry)

    def _send_all(self) -> None:
        self._rest()
        self._count = self._size = 0

    def _breathe(self, entry: Entry) -> None:
        """Let everybody take what they were handed, before it is more than may wait for them."""
        self._count, self._size = self._count + 1, self._size + len(entry.payload)
        if self._count >= MOST_IN_ONE or self._size >= MUCH_IN_ONE:
            self._send_all()
            time.sleep(BREATH_S)

    def _begin(self, organization_id: str) -> None:
        feed = self._feeds.get(organization_id)
        if feed is None:
            return
        if feed.position is None:
            feed.position = self._events.head(organization_id)
        else:
            self._catch_up(feed, feed.position)
        feed.answered.set()

    def _catch_up(self, feed: Feed, seen: str) -> None:
        """Read the stream from where it was left, to its end; a new stream from its beginning."""
        feed.has_gap = feed.has_gap or not self._events.keeps(feed.organization_id, seen)
        while entries := self._events.since(feed.organization_id, seen):
            for entry in entries:
                self._hand(feed, entry)
                self._breathe(entry)
            seen = entries[-1].id
        if feed.has_gap:
            feed.has_gap = False
            with self.lock:
                self._lost(feed.organization_id)

    def _hand(self, feed: Feed, entry: Entry) -> None:
        with self.lock:
            if feed.position is not None and covers(feed.position, entry.id):
                return
            feed.position = entry.id
            if entry.event:
                self._deliver(feed.organization_id, entry)
