"""The thread's work: post what waits, with retries."""

import logging
import random
import threading
import time
from collections.abc import Callable

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.outbox import Outbox
from kinto_webpush_channels.server import Answer, Verdict
from kinto_webpush_channels.throttle import Throttle

logger = logging.getLogger(__name__)

# Seconds of the first pause and of the longest.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# More doublings than it takes to get there.
_DOUBLINGS = 10


class Courier:
    """Posts announcements one after the other: while the server has trouble, the others wait and coalesce."""

    def __init__(
        self,
        post: Callable[[Announcement], Answer],
        retries: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._post = post
        self._retries = retries
        self._clock = clock
        self._closing = threading.Event()
        self._sleep = sleep or self._closing.wait
        self._chance = chance
        self._lines = Throttle(clock)
        # Tries that failed since the last that did not.
        self._failures = 0
        # Before then the server wants no request.
        self._not_before = clock()
        self.lost = 0
        """Announcements that were given up because Kinto ends."""

    def run(self, outbox: Outbox) -> None:
        """Until the outbox is closed and empty."""
        while (announcement := outbox.next()) is not None:
            try:
                self.deliver(announcement)
            except Exception:
                # The thread must outlive whatever is wrong with one announcement.
                logger.exception("cannot announce %s", announcement)

    def close(self) -> None:
        """From now on nothing is tried twice and no pause is waited for."""
        self._closing.set()

    def deliver(self, announcement: Announcement) -> None:
        """Posts one, and again until the server took or refused it or the retries are used up."""
        for _ in range(self._retries + 1):
            if not self._wait():
                break
            answer = self._post(announcement)
            self._not_before = self._clock() + answer.wait
            if answer.verdict is not Verdict.LATER:
                self._settle(announcement, answer)
                return
            self._failed(answer)
            if self._closing.is_set():
                break
        else:
            logger.error("gave up announcing %s after %d tries: %s", announcement, self._retries + 1, answer.reason)
            return
        self.lost += 1

    def _wait(self) -> bool:
        """Waits as long as the failures and the server ask for. False if Kinto ends before the server wants more."""
        until = max(self._not_before, self._clock() + self._pause())
        while not self._closing.is_set() and (left := until - self._clock()) > 0:
            self._sleep(left)
        return self._clock() >= self._not_before

    def _pause(self) -> float:
        """Doubles with each failure, less up to a half by chance, so that many processes do not come back at once."""
        if self._failures == 0:
            return 0.0
        longest = min(FIRST_PAUSE * (1 << min(self._failures - 1, _DOUBLINGS)), LONGEST_PAUSE)
        return longest * (1 - self._chance() / 2)

    def _failed(self, answer: Answer) -> None:
        """One line when trouble begins; the end of it, or giving up, is the next."""
        self._failures += 1
        if self._failures == 1:
            logger.warning("the push server does not take announcements, trying again: %s", answer.reason)

    def _settle(self, announcement: Announcement, answer: Answer) -> None:
        if self._failures > 0:
            logger.info("the push server answers again, after %d failed tries", self._failures)
            self._failures = 0
        if answer.verdict is Verdict.REFUSED:
            self._lines.error(logger, answer.reason, "not announced: %s: %s", announcement, answer.reason)
