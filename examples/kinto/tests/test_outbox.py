"""Waiting, coalescing, overflow."""

import json
import threading
import unittest
from typing import Any

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.changes import Change
from kinto_webpush_channels.outbox import Outbox
from support import LIMIT, Clock, change


def drain(outbox: Outbox) -> list[dict[str, Any]]:
    """Everything that waits, in order."""
    outbox.close()
    return [json.loads(posted.body())["data"] for posted in iter(outbox.next, None)]


def said(changes: list[Change]) -> list[tuple[str, list[str]]]:
    """What changes become that come at once."""
    outbox = Outbox(100, 1.0, Clock())
    for one in changes:
        outbox.add("news", one)
    return [(data["action"], data["records"]) for data in drain(outbox)]


class Coalescing(unittest.TestCase):
    def test_changes_of_one_action_become_one(self) -> None:
        self.assertEqual(
            said([change("update", "a"), change("update", "b"), change("update", "a")]), [("update", ["a", "b"])]
        )

    def test_each_action_has_its_own(self) -> None:
        found = said([change("create", "a"), change("update", "b"), change("create", "c"), change("delete", "d")])
        self.assertEqual(found, [("create", ["a", "c"]), ("update", ["b"]), ("delete", ["d"])])

    def test_what_happened_to_one_record_stays_in_order(self) -> None:
        found = said([change("create", "a"), change("delete", "a"), change("create", "a"), change("create", "b")])
        self.assertEqual(found, [("create", ["a"]), ("delete", ["a"]), ("create", ["a", "b"])])

    def test_nothing_overtakes_the_end_of_a_collection(self) -> None:
        found = said([change("create", "a"), change("delete", "a"), change("delete"), change("create", "b")])
        self.assertEqual(found, [("create", ["a"]), ("delete", ["a"]), ("delete", []), ("create", ["b"])])

    def test_nothing_overtakes_a_list_that_was_cut(self) -> None:
        many = [f"{number:036}" for number in range(200)]
        found = said([change("create", "a"), change("delete", *many), change("create", "b")])
        self.assertEqual([action for action, _ in found], ["create", "delete", "create"])

    def test_channels_and_collections_are_kept_apart(self) -> None:
        outbox = Outbox(100, 1.0, Clock())
        outbox.add("news", change("create", "a"))
        outbox.add("blog", change("create", "a"))
        outbox.add("news", change("create", "a", collection="comments"))
        self.assertEqual(len(outbox), 3)

    def test_what_was_taken_does_not_change(self) -> None:
        outbox = Outbox(100, 0.0, Clock())
        outbox.add("news", change("create", "a"))
        taken = outbox.next()
        before = taken.body()
        outbox.add("news", change("create", "b"))
        self.assertEqual(taken.body(), before)
        self.assertEqual(len(outbox), 1)


class Bounds(unittest.TestCase):
    def test_a_full_queue_drops_the_oldest_and_returns_it(self) -> None:
        outbox = Outbox(2, 1.0, Clock())
        self.assertIsNone(outbox.add("one", change("create", "a")))
        self.assertIsNone(outbox.add("two", change("create", "a")))
        self.assertEqual(outbox.add("three", change("create", "a")).channel, "one")
        self.assertEqual(len(outbox), 2)

    def test_a_change_that_joins_drops_nothing(self) -> None:
        outbox = Outbox(1, 1.0, Clock())
        outbox.add("one", change("create", "a"))
        self.assertIsNone(outbox.add("one", change("create", "b")))


class Waiting(unittest.TestCase):
    def setUp(self) -> None:
        self.taken: list[Announcement | None] = []
        self.got = threading.Event()

    def take(self, outbox: Outbox) -> threading.Thread:
        def run() -> None:
            self.taken.append(outbox.next())
            self.got.set()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def test_a_change_wakes_the_one_who_waits(self) -> None:
        outbox = Outbox(2, 0.0)
        thread = self.take(outbox)
        outbox.add("news", change("create", "a"))
        thread.join(LIMIT)
        self.assertEqual(self.taken[0].channel, "news")

    def test_it_is_due_when_the_time_is_over_and_not_before(self) -> None:
        clock = Clock()
        outbox = Outbox(2, 1.0, clock)
        outbox.add("news", change("create", "a"))
        self.assertEqual(outbox._left(), 1.0)
        clock.now += 0.75
        outbox.add("news", change("create", "b"))
        self.assertEqual(outbox._left(), 0.25)
        clock.now += 0.25
        self.assertIsNotNone(outbox.next())

    def test_closing_ends_the_wait(self) -> None:
        outbox = Outbox(2, 60.0)
        outbox.add("news", change("create", "a"))
        thread = self.take(outbox)
        outbox.close()
        thread.join(LIMIT)
        self.assertEqual(self.taken[0].channel, "news")
        self.assertIsNone(outbox.next())


if __name__ == "__main__":
    unittest.main()
