"""What a post says, and how large it gets."""

import json
import unittest

from kinto_webpush_channels.announcement import MAX_PAYLOAD, Announcement, fits
from support import change


def announcement(*args: str, **others: object) -> Announcement:
    return Announcement("news", change(*args, **others), due=0)


def payload(posted: Announcement) -> bytes:
    """As the server encrypts it."""
    return json.dumps(json.loads(posted.body())["data"], sort_keys=True, separators=(",", ":")).encode()


class Body(unittest.TestCase):
    def test_ids_and_the_action_and_nothing_else(self) -> None:
        posted = announcement("create", "r1", "r2", timestamp=7)
        self.assertEqual(
            json.loads(posted.body()),
            {
                "data": {
                    "action": "create",
                    "bucket": "blog",
                    "collection": "articles",
                    "timestamp": 7,
                    "records": ["r1", "r2"],
                }
            },
        )

    def test_a_deleted_collection_has_no_records(self) -> None:
        data = json.loads(announcement("delete").body())["data"]
        self.assertEqual((data["action"], data["records"]), ("delete", []))

    def test_many_ids_are_cut_and_it_says_so(self) -> None:
        posted = announcement("create", *(f"record-{number:030}" for number in range(500)))
        data = json.loads(posted.body())["data"]
        self.assertIs(data["truncated"], True)
        self.assertGreater(len(data["records"]), 60)
        self.assertLessEqual(len(payload(posted)), MAX_PAYLOAD)
        self.assertGreater(len(payload(posted)), MAX_PAYLOAD - 50)

    def test_what_just_fits_is_not_cut(self) -> None:
        for count in range(1, 200):
            posted = announcement("create", *(f"{number:036}" for number in range(count)))
            data = json.loads(posted.body())["data"]
            self.assertEqual("truncated" in data, len(data["records"]) < count)
            self.assertLessEqual(len(payload(posted)), MAX_PAYLOAD)

    def test_an_id_longer_than_a_push_and_others_that_are_not_ascii(self) -> None:
        for records in (["x" * 5000], ["é" * 100 + str(number) for number in range(20)]):
            posted = announcement("create", *records)
            self.assertIs(json.loads(posted.body())["data"]["truncated"], True)
            self.assertLessEqual(len(payload(posted)), MAX_PAYLOAD)

    def test_names_must_leave_room(self) -> None:
        self.assertTrue(fits(change(collection="c" * 1000)))
        self.assertFalse(fits(change(collection="c" * 1500)))
        longest = announcement("create", "r1", collection="c" * 1480)
        self.assertEqual(json.loads(longest.body())["data"]["records"], ["r1"])

    def test_the_log_sees_no_ids_of_records(self) -> None:
        self.assertNotIn("r1", str(announcement("create", "r1")))


class Merging(unittest.TestCase):
    def test_a_union_with_the_latest_timestamp_and_one_key(self) -> None:
        posted = announcement("create", "r1", "r2", timestamp=5)
        key = posted.key
        posted.merge(change("create", "r2", "r3", timestamp=9))
        posted.merge(change("create", "r4", timestamp=8))
        data = json.loads(posted.body())["data"]
        self.assertEqual((data["records"], data["timestamp"]), (["r1", "r2", "r3", "r4"], 9))
        self.assertEqual(posted.key, key)

    def test_keys_differ_and_are_short_and_visible(self) -> None:
        first, second = announcement("create", "r1").key, announcement("create", "r1").key
        self.assertNotEqual(first, second)
        self.assertRegex(first, r"\A[!-~]{1,255}\Z")


if __name__ == "__main__":
    unittest.main()
