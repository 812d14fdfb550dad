"""What waits to be posted."""

import threading
import time
from collections import deque
from collections.abc import Callable

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.changes import Change


class Outbox:
    """A bounded queue between Kinto's threads and the one that posts.

    Changes of one collection that come within a short time of each other become one announcement. An announcement
    that is being posted is no longer here, so a retry is the same post.
    """

    def __init__(self, length: int, coalesce: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._length = length
        self._coalesce = coalesce
        self._clock = clock
        self._waiting: deque[Announcement] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, channel: str, change: Change) -> Announcement | None:
        """Takes a change, never waits, and returns what it had to drop for it: the oldest."""
        with self._changed:
            waiting = self._for(channel, change)
            if waiting is not None:
                waiting.merge(change)
                return None
            dropped = self._waiting.popleft() if len(self._waiting) >= self._length else None
            self._waiting.append(Announcement(channel, change, self._clock() + self._coalesce))
            self._changed.notify()
            return dropped

    def next(self) -> Announcement | None:
        """Waits for the next announcement that is due; None when it is closed and empty."""
        with self._changed:
            while True:
                left = self._left()
                if left is not None and left <= 0:
                    return self._waiting.popleft()
                if self._closed:
                    return None
                self._changed.wait(left)

    def close(self) -> None:
        """What waits is due now, and `next` ends after it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _left(self) -> float | None:
        """Seconds until the oldest is due; None if nothing waits."""
        if not self._waiting:
            return None
        return 0.0 if self._closed else self._waiting[0].due - self._clock()

    def _for(self, channel: str, change: Change) -> Announcement | None:
        """The announcement that the change may join without overtaking another about the same record."""
        for waiting in reversed(self._waiting):
            if not waiting.concerns(channel, change):
                continue
            if waiting.accepts(change):
                return waiting
            if waiting.overlaps(change):
                return None
        return None
