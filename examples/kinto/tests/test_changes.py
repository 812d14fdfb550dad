"""What events of Kinto become. test_kinto.py has the same with Kinto's own events."""

import unittest
from types import SimpleNamespace
from typing import Any

from kinto_webpush_channels.changes import Change, of_buckets, of_collections, of_records


def event(action: str, *impacted: dict[str, Any]) -> SimpleNamespace:
    payload = {"action": action, "bucket_id": "blog", "collection_id": "articles", "timestamp": 1}
    return SimpleNamespace(payload=payload, impacted_objects=list(impacted))


def record(name: str, modified: int, **fields: Any) -> dict[str, Any]:
    return {"id": name, "last_modified": modified, **fields}


class Records(unittest.TestCase):
    def test_all_ids_and_the_latest_time(self) -> None:
        found = of_records(event("create", {"new": record("a", 7)}, {"new": record("b", 9)}, {"new": record("c", 8)}))
        self.assertEqual(found, Change("create", "blog", "articles", 9, ("a", "b", "c")))

    def test_an_update_that_changes_nothing_is_none(self) -> None:
        self.assertIsNone(of_records(event("update", {"old": record("a", 1, x=1), "new": record("a", 2, x=1)})))

    def test_of_several_updates_only_those_that_change_something(self) -> None:
        same = {"old": record("a", 1, x=1), "new": record("a", 9, x=1)}
        other = {"old": record("b", 1, x=1), "new": record("b", 5, x=2)}
        self.assertEqual(of_records(event("update", same, other)), Change("update", "blog", "articles", 5, ("b",)))

    def test_a_field_that_went_away_is_a_change(self) -> None:
        self.assertIsNotNone(of_records(event("update", {"old": record("a", 1, x=None), "new": record("a", 2)})))

    def test_a_tombstone_is_a_change(self) -> None:
        gone = {"old": record("a", 1), "new": record("a", 2, deleted=True)}
        self.assertEqual(of_records(event("delete", gone)).records, ("a",))

    def test_a_record_that_changed_twice_is_there_once(self) -> None:
        first = {"old": record("a", 1, x=1), "new": record("a", 2, x=2)}
        second = {"old": record("a", 2, x=2), "new": record("a", 3, x=3)}
        self.assertEqual(of_records(event("update", first, second)), Change("update", "blog", "articles", 3, ("a",)))


class Deletions(unittest.TestCase):
    def test_each_deleted_collection(self) -> None:
        found = list(of_collections(event("delete", {"new": record("a", 1)}, {"new": record("b", 2)})))
        self.assertEqual(found, [Change("delete", "blog", "a", 1), Change("delete", "blog", "b", 2)])

    def test_each_collection_that_a_deleted_bucket_had(self) -> None:
        gone = event("delete", {"new": record("blog", 3)}, {"new": record("shop", 4)})
        self.assertEqual(list(of_buckets(gone, {"blog": ["a"]})), [Change("delete", "blog", "a", 3)])


if __name__ == "__main__":
    unittest.main()
