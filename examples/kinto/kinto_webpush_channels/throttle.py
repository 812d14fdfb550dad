"""Log lines that may come in thousands."""

import logging
import threading
import time
from collections.abc import Callable

INTERVAL = 60.0


class Throttle:
    """Lets one line of a kind through a minute, and says with the next how many it held back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # Of each kind: when its last line was written, and how many were held back since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def error(self, logger: logging.Logger, kind: str, message: str, *arguments: object) -> None:
        """Writes the line, or counts it. There must be few kinds: they are kept."""
        held = self._held(kind)
        if held is not None:
            more = f" (and {held} more like it)" if held else ""
            logger.error(message + more, *arguments)

    def _held(self, kind: str) -> int | None:
        """How many were held back since the last line; None if this one is."""
        now = self._clock()
        with self._lock:
            last, held = self._kinds.get(kind, (None, 0))
            if last is not None and now - last < INTERVAL:
                self._kinds[kind] = (last, held + 1)
                return None
            self._kinds[kind] = (now, 0)
            return held
