"""One post to a channel."""

import json
import uuid
from typing import Any

from kinto_webpush_channels.changes import Change

# A push holds 3993 octets: this leaves room for a server that adds to it.
MAX_PAYLOAD = 3000
# Of a bucket's and a collection's id together; ids that Kinto makes have 8 to 36 characters.
MAX_NAMES = 1500


class Announcement:
    """What happened to records of one collection, for one channel. Changes that fit in are merged into it."""

    def __init__(self, channel: str, change: Change, due: float) -> None:
        self.channel = channel
        self.due = due
        """When it may be posted, by the outbox's clock."""
        self.key = uuid.uuid4().hex
        """The same at each try, so that the server publishes once."""
        self._action, self._bucket, self._collection = change.action, change.bucket, change.collection
        self._whole = not change.records
        self._timestamp = change.timestamp
        self._records: dict[str, None] = {}
        self._truncated = False
        # As large as the rest gets.
        self._size = len(_encode({**self._data(), "truncated": True}))
        self.merge(change)

    def concerns(self, channel: str, change: Change) -> bool:
        """Whether it is about the same collection for the same channel."""
        return (self.channel, self._bucket, self._collection) == (channel, change.bucket, change.collection)

    def accepts(self, change: Change) -> bool:
        """Whether it can say what the change says (both about the same collection)."""
        return self._action == change.action and self._whole is not bool(change.records)

    def overlaps(self, change: Change) -> bool:
        """Whether one of both must come first (both about the same collection)."""
        unknown = self._whole or self._truncated or not change.records
        return unknown or any(record in self._records for record in change.records)

    def merge(self, change: Change) -> None:
        """Says what the change says as well."""
        self._timestamp = max(self._timestamp, change.timestamp)
        for record in change.records:
            self._add(record)

    def body(self) -> bytes:
        """The body of the request."""
        return _encode({"data": self._data()})

    def __str__(self) -> str:
        """For the log: no record ids."""
        return f"{self._action!r} in {self._bucket}/{self._collection} for channel {self.channel!r}"

    def _add(self, record: str) -> None:
        size = len(_encode(record)) + 1
        if record in self._records:
            return
        if self._size + size > MAX_PAYLOAD:
            self._truncated = True
            return
        self._records[record] = None
        self._size += size

    def _data(self) -> dict[str, Any]:
        data = {
            "action": self._action,
            "bucket": self._bucket,
            "collection": self._collection,
            "timestamp": self._timestamp,
            "records": list(self._records),
        }
        return {**data, "truncated": True} if self._truncated else data


def fits(change: Change) -> bool:
    """Whether the names leave room for records."""
    return len(_encode([change.bucket, change.collection])) <= MAX_NAMES


def _encode(value: Any) -> bytes:
    """As the server writes the payload: its octets count."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
