"""From Kinto's threads to the one that posts."""

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Iterable

from kinto_webpush_channels.announcement import fits
from kinto_webpush_channels.changes import Change
from kinto_webpush_channels.channels import MAX_CHANNEL_OCTETS
from kinto_webpush_channels.courier import Courier
from kinto_webpush_channels.outbox import Outbox
from kinto_webpush_channels.server import Server
from kinto_webpush_channels.settings import Settings
from kinto_webpush_channels.throttle import Throttle

logger = logging.getLogger(__name__)


class Announcer:
    """Takes changes without waiting, and posts them from a thread of its own.

    The thread starts with the first change, because a server such as gunicorn loads Kinto and then forks.
    """

    _thread: threading.Thread | None

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reset()
        _reset_after_fork(self)
        atexit.register(self.close)

    def announce(self, changes: Iterable[Change]) -> None:
        """Queues the changes for the channels of their collections."""
        for change in changes:
            for channel in self._settings.routes.channels(change.bucket, change.collection):
                self._queue(channel, change)

    def concerns(self, bucket: str) -> bool:
        """Whether collections of the bucket may have channels."""
        return self._settings.routes.concern(bucket)

    def close(self) -> None:
        """Posts what waits, within `exit_timeout`, and tells in the log what it could not post."""
        atexit.unregister(self.close)
        with self._lock:
            thread, self._thread = self._thread, None
            self._closed = True
        self._courier.close()
        self._outbox.close()
        if thread is None:
            return
        thread.join(self._settings.exit_timeout)
        lost = self._courier.lost + len(self._outbox) + thread.is_alive()
        if lost:
            logger.error("%d announcements may be lost, because Kinto ends", lost)

    def _queue(self, channel: str, change: Change) -> None:
        if len(channel.encode()) > MAX_CHANNEL_OCTETS or not fits(change):
            self._lines.error(logger, "names", "not announced: a bucket's or collection's id is too long for a push")
            return
        with self._lock:
            if self._closed:
                self._lines.error(logger, "closed", "not announced: Kinto ends")
                return
            dropped = self._outbox.add(channel, change)
            self._start()
        if dropped is not None:
            self._lines.error(logger, "full", "the queue is full, dropped the oldest announcement: %s", dropped)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(
                target=self._courier.run, args=(self._outbox,), name="webpush-channels", daemon=True
            )
            thread.start()
            self._thread = thread

    def _reset(self) -> None:
        """As new: also in a forked child, which has neither the thread nor the right to the parent's queue."""
        settings = self._settings
        self._lock = threading.Lock()
        self._lines = Throttle()
        self._outbox = Outbox(settings.queue_length, settings.coalesce_seconds)
        self._courier = Courier(Server(settings).post, settings.retries)
        self._thread = None
        self._closed = False


def _reset_after_fork(announcer: Announcer) -> None:
    """Such a hook stays for good: it must not keep the announcer."""
    if not hasattr(os, "register_at_fork"):  # Windows
        return
    reference = weakref.ref(announcer)

    def reset() -> None:
        alive = reference()
        if alive is not None:
            alive._reset()

    os.register_at_fork(after_in_child=reset)
