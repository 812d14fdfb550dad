"""The thread: when it starts, what it survives, how it ends."""

import os
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from unittest import mock

from kinto_webpush_channels.announcer import Announcer
from support import LIMIT, Answer, Stub, change, settings

LOGGER = "kinto_webpush_channels"


class Case(unittest.TestCase):
    def stub(self, *answers: Answer) -> Stub:
        stub = Stub(answers)
        self.addCleanup(stub.close)
        return stub

    def announcer(self, stub: Stub, **changed: str) -> Announcer:
        announcer = Announcer(settings(server_url=stub.url, **changed))
        self.addCleanup(announcer.close)
        return announcer


class Thread(Case):
    def test_it_starts_with_the_first_change_that_has_a_channel(self) -> None:
        announcer = self.announcer(self.stub())
        self.assertIsNone(announcer._thread)
        announcer.announce([change("create", "r1", bucket="shop")])
        self.assertIsNone(announcer._thread)
        announcer.announce([change("create", "r1")])
        self.assertTrue(announcer._thread.daemon)

    def test_a_change_goes_to_each_of_its_channels(self) -> None:
        stub = self.stub()
        announcer = self.announcer(stub, channels="blog/articles = one\nblog/* = two")
        announcer.announce([change("create", "r1")])
        paths = [request.path for request in stub.requests(2)]
        self.assertEqual(paths, ["/v0/channels/one", "/v0/channels/two"])

    def test_if_no_thread_can_start_the_next_change_tries_again(self) -> None:
        stub = self.stub()
        announcer = self.announcer(stub)
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.assertRaises(RuntimeError, announcer.announce, [change("create", "r1")])
        announcer.announce([change("delete", "r2")])
        self.assertEqual([request.data["records"] for request in stub.requests(2)], [["r1"], ["r2"]])

    @unittest.skipUnless(hasattr(os, "fork"), "the system has no fork")
    def test_a_forked_process_has_a_thread_and_a_queue_of_its_own(self) -> None:
        stub = self.stub()
        announcer = self.announcer(stub, coalesce_seconds="60")
        announcer.announce([change("create", "parent")])
        child = os.fork()
        if child == 0:
            # Neither unittest's nor the parent's exit.
            status = 1
            try:
                announcer.announce([change("create", "child")])
                announcer.close()
                status = 0
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual([request.data["records"] for request in stub.requests(1)], [["child"]])
        announcer.close()
        self.assertEqual(stub.requests(2)[1].data["records"], ["parent"])


class Exit(Case):
    def test_a_process_that_ends_in_order_posts_what_waits(self) -> None:
        stub = self.stub()
        program = (
            "from support import change, settings\n"
            "from kinto_webpush_channels.announcer import Announcer\n"
            f"announcer = Announcer(settings(server_url={stub.url!r}, coalesce_seconds='60'))\n"
            "announcer.announce([change('create', 'r1')])\n"
        )
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, cwd=Path(__file__).parent, timeout=LIMIT, check=False, capture_output=True)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        self.assertEqual(stub.requests(1)[0].data["records"], ["r1"])


class Overflow(Case):
    def test_the_oldest_is_dropped_and_told_once_a_minute(self) -> None:
        answer = threading.Event()
        stub = self.stub(Answer(after=answer))
        announcer = self.announcer(stub, queue_length="2", channels="blog/* = {collection}")
        announcer.announce([change("create", "r1", collection="first")])
        stub.requests(1)
        with self.assertLogs(LOGGER, "ERROR") as log:
            for number in range(5):
                announcer.announce([change("create", "r1", collection=f"c{number}")])
        answer.set()
        paths = [request.path for request in stub.requests(3)]
        self.assertEqual(paths, ["/v0/channels/first", "/v0/channels/c3", "/v0/channels/c4"])
        self.assertEqual(len(log.output), 1)
        self.assertIn("dropped the oldest announcement: 'create' in blog/c0", log.output[0])

    def test_names_that_no_push_can_hold_are_told(self) -> None:
        announcer = self.announcer(self.stub(), channels="*/* = {bucket}.{collection}")
        with self.assertLogs(LOGGER, "ERROR") as log:
            announcer.announce([change("create", "r1", collection="c" * 1100)])
            announcer.announce([change("create", "r1", collection="c" * 4000)])
        self.assertEqual(len(log.output), 1)
        self.assertIsNone(announcer._thread)


class Closing(Case):
    def test_what_waits_is_posted_at_once(self) -> None:
        stub = self.stub()
        announcer = self.announcer(stub, coalesce_seconds="60")
        announcer.announce([change("create", "r1"), change("delete", "r2")])
        with self.assertNoLogs(LOGGER, "ERROR"):
            announcer.close()
        self.assertEqual(len(stub.requests(0)), 2)

    def test_what_cannot_be_posted_is_counted(self) -> None:
        stub = self.stub(Answer(503), Answer(503))
        announcer = self.announcer(stub, coalesce_seconds="60")
        announcer.announce([change("create", "r1"), change("delete", "r2")])
        with self.assertLogs(LOGGER, "ERROR") as log:
            announcer.close()
        self.assertIn("2 announcements may be lost", log.output[0])

    def test_it_has_an_end_even_if_the_server_does_not_answer(self) -> None:
        answer = threading.Event()
        self.addCleanup(answer.set)
        stub = self.stub(Answer(after=answer))
        announcer = self.announcer(stub, exit_timeout="0.1")
        announcer.announce([change("create", "r1")])
        stub.requests(1)
        announcer.announce([change("create", "r2")])
        with self.assertLogs(LOGGER, "ERROR") as log:
            announcer.close()
        self.assertIn("2 announcements may be lost", log.output[0])

    def test_later_changes_are_told(self) -> None:
        announcer = self.announcer(self.stub())
        announcer.close()
        with self.assertLogs(LOGGER, "ERROR") as log:
            announcer.announce([change("create", "r1")])
        self.assertIn("Kinto ends", log.output[0])

    def test_closing_twice_is_closing_once(self) -> None:
        announcer = self.announcer(self.stub())
        announcer.announce([change("create", "r1")])
        thread = announcer._thread
        announcer.close()
        announcer.close()
        thread.join(LIMIT)
        self.assertFalse(thread.is_alive())


if __name__ == "__main__":
    unittest.main()
