"""Retries, with a clock that stands still and a server that is a list."""

import unittest

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.courier import Courier
from kinto_webpush_channels.outbox import Outbox
from kinto_webpush_channels.server import Answer, Verdict
from support import Clock, change

LOGGER = "kinto_webpush_channels.courier"
ACCEPTED = Answer(Verdict.ACCEPTED, "202")
DOWN = Answer(Verdict.LATER, "no connection: ConnectionError")
REFUSED = Answer(Verdict.REFUSED, "the server answered 403: may this user publish to the channel?")


def later(wait: float) -> Answer:
    return Answer(Verdict.LATER, "the server answered 503", wait)


class _Case(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.posted: list[tuple[str, bytes, float]] = []

    def courier(self, answers: list[Answer], retries: int = 8, chance: float = 0.0) -> Courier:
        script = iter(answers)

        def post(announcement: Announcement) -> Answer:
            self.posted.append((announcement.key, announcement.body(), self.clock.now))
            return next(script)

        return Courier(post, retries, self.clock, self.clock.sleep, lambda: chance)

    def announcement(self) -> Announcement:
        return Announcement("news", change("create", "r1"), due=0)


class Delivering(_Case):
    def test_what_is_accepted_is_posted_once(self) -> None:
        with self.assertNoLogs(LOGGER):
            self.courier([ACCEPTED]).deliver(self.announcement())
        self.assertEqual(len(self.posted), 1)
        self.assertEqual(self.clock.slept, [])

    def test_pauses_double_up_to_a_limit(self) -> None:
        with self.assertLogs(LOGGER):
            self.courier([DOWN] * 8 + [ACCEPTED]).deliver(self.announcement())
        self.assertEqual(self.clock.slept, [1, 2, 4, 8, 16, 32, 60, 60])

    def test_chance_takes_up_to_a_half(self) -> None:
        with self.assertLogs(LOGGER):
            self.courier([DOWN, DOWN, ACCEPTED], chance=1.0).deliver(self.announcement())
        self.assertEqual(self.clock.slept, [0.5, 1])

    def test_each_try_is_the_same_post(self) -> None:
        with self.assertLogs(LOGGER):
            self.courier([DOWN, later(0), ACCEPTED]).deliver(self.announcement())
        self.assertEqual(len({(key, body) for key, body, _ in self.posted}), 1)

    def test_retry_after_is_waited_for_when_it_is_longer(self) -> None:
        with self.assertLogs(LOGGER):
            self.courier([later(30), later(0.1), ACCEPTED]).deliver(self.announcement())
        self.assertEqual(self.clock.slept, [30, 2])

    def test_a_wait_that_ends_early_goes_on(self) -> None:
        def sleep(seconds: float) -> None:
            self.clock.sleep(seconds / 2 if seconds > 1 else seconds)

        courier = self.courier([later(8), ACCEPTED])
        courier._sleep = sleep
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
        self.assertEqual(self.posted[1][2] - self.posted[0][2], 8)

    def test_backoff_of_an_accepted_one_holds_the_next(self) -> None:
        courier = self.courier([Answer(Verdict.ACCEPTED, "202", wait=10), ACCEPTED])
        courier.deliver(self.announcement())
        courier.deliver(self.announcement())
        self.assertEqual(self.clock.slept, [10])

    def test_giving_up_is_one_line_without_ids(self) -> None:
        with self.assertLogs(LOGGER, "ERROR") as log:
            self.courier([DOWN] * 3, retries=2).deliver(self.announcement())
        self.assertEqual(len(self.posted), 3)
        self.assertEqual(len(log.output), 1)
        self.assertIn("gave up announcing 'create' in blog/articles for channel 'news' after 3 tries", log.output[0])
        self.assertNotIn("r1", log.output[0])

    def test_the_next_one_starts_where_the_pauses_were(self) -> None:
        courier = self.courier([DOWN] * 3 + [ACCEPTED], retries=1)
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
            courier.deliver(self.announcement())
        self.assertEqual(self.clock.slept, [1, 2, 4])

    def test_after_a_success_pauses_begin_anew(self) -> None:
        courier = self.courier([DOWN, DOWN, ACCEPTED, DOWN, ACCEPTED])
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
            courier.deliver(self.announcement())
        self.assertEqual(self.clock.slept, [1, 2, 1])

    def test_an_outage_of_days_is_borne(self) -> None:
        courier = self.courier([DOWN] * 2000 + [ACCEPTED], retries=2000)
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
        self.assertEqual(max(self.clock.slept), 60)

    def test_trouble_and_its_end_are_one_line_each(self) -> None:
        with self.assertLogs(LOGGER) as log:
            self.courier([DOWN, later(0), DOWN, ACCEPTED]).deliver(self.announcement())
        self.assertEqual([record.levelname for record in log.records], ["WARNING", "INFO"])
        self.assertIn("no connection: ConnectionError", log.output[0])
        self.assertIn("after 3 failed tries", log.output[1])

    def test_what_is_refused_is_told_and_not_repeated(self) -> None:
        with self.assertLogs(LOGGER) as log:
            self.courier([REFUSED]).deliver(self.announcement())
        self.assertEqual(len(self.posted), 1)
        self.assertIn("channel 'news': the server answered 403: may this user publish", log.output[0])

    def test_a_thousand_refusals_are_one_line_a_minute(self) -> None:
        courier = self.courier([REFUSED] * 1001)
        with self.assertLogs(LOGGER) as log:
            for _ in range(1000):
                courier.deliver(self.announcement())
            self.assertEqual(len(log.output), 1)
            self.clock.now += 60
            courier.deliver(self.announcement())
        self.assertIn("(and 999 more like it)", log.output[1])


class Closing(_Case):
    def test_a_failed_try_is_the_last(self) -> None:
        courier = self.courier([DOWN])
        courier.close()
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
        self.assertEqual((len(self.posted), courier.lost), (1, 1))

    def test_a_pause_of_ours_is_cut_short(self) -> None:
        courier = self.courier([DOWN, ACCEPTED])
        courier._sleep = lambda _: courier.close()
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
        self.assertEqual((len(self.posted), courier.lost), (2, 0))

    def test_a_pause_that_the_server_wants_is_respected(self) -> None:
        courier = self.courier([later(30)])
        courier._sleep = lambda _: courier.close()
        with self.assertLogs(LOGGER):
            courier.deliver(self.announcement())
        self.assertEqual((len(self.posted), courier.lost), (1, 1))


class Running(_Case):
    def test_one_that_breaks_does_not_stop_the_others(self) -> None:
        outbox = Outbox(10, 0.0, self.clock)
        outbox.add("one", change("create", "r1"))
        outbox.add("two", change("create", "r1"))
        outbox.close()
        done: list[str] = []

        def post(announcement: Announcement) -> Answer:
            done.append(announcement.channel)
            if announcement.channel == "one":
                raise RuntimeError("broken")
            return ACCEPTED

        with self.assertLogs(LOGGER, "ERROR") as log:
            Courier(post, 8, self.clock, self.clock.sleep).run(outbox)
        self.assertEqual(done, ["one", "two"])
        self.assertEqual(len(log.records), 1)


if __name__ == "__main__":
    unittest.main()
