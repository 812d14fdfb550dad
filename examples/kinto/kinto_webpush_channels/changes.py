"""What an event of Kinto says that listeners may know."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """Records of one collection that one request created, updated or deleted.

    Ids only: who listens to a channel is not who may read a record.
    """

    action: str
    bucket: str
    collection: str
    timestamp: int
    records: tuple[str, ...] = ()
    """Empty when the collection itself was deleted."""


def of_records(event: Any) -> Change | None:
    """The change of an event about records; None if nothing is different."""
    changed = [impact["new"] for impact in event.impacted_objects if _differs(impact)]
    if not changed:
        return None
    return Change(
        action=event.payload["action"],
        bucket=event.payload["bucket_id"],
        collection=event.payload["collection_id"],
        # The payload's is of the first object only.
        timestamp=_latest(changed),
        records=tuple(dict.fromkeys(record["id"] for record in changed)),
    )


def of_collections(event: Any) -> Iterator[Change]:
    """The changes of an event about deleted collections; their records have no events of their own."""
    for tombstone in _tombstones(event):
        yield deletion(event.payload["bucket_id"], tombstone["id"], tombstone["last_modified"])


def of_buckets(event: Any, collections: dict[str, Iterable[str]]) -> Iterator[Change]:
    """The changes of an event about deleted buckets, whose collections were `collections`."""
    for tombstone in _tombstones(event):
        for collection in collections.get(tombstone["id"], ()):
            yield deletion(tombstone["id"], collection, tombstone["last_modified"])


def deletion(bucket: str, collection: str, timestamp: int) -> Change:
    """A collection is gone, with everything in it."""
    return Change("delete", bucket, collection, timestamp)


def _tombstones(event: Any) -> list[dict[str, Any]]:
    return [impact["new"] for impact in event.impacted_objects]


def _differs(impact: dict[str, Any]) -> bool:
    """False for an update that wrote what was there, or only permissions: Kinto tells of those too."""
    new, old = impact["new"], impact.get("old")
    return old is None or _content(new) != _content(old)


def _content(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "last_modified"}


def _latest(objects: list[dict[str, Any]]) -> int:
    return max(int(one["last_modified"]) for one in objects)
