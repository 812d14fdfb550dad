"""What goes over the wire, and what the answers mean."""

import os
import socket
import tempfile
import threading
import unittest
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from unittest import mock

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.server import MAX_WAIT, Server, Verdict, seconds
from support import Answer, Stub, change, settings


class Posting(unittest.TestCase):
    def stub(self, *answers: Answer) -> Stub:
        stub = Stub(answers)
        self.addCleanup(stub.close)
        return stub

    def post(self, stub: Stub, channel: str = "news", **changed: str) -> object:
        server = Server(settings(server_url=stub.url, **changed))
        self.addCleanup(server._session.close)
        return server.post(Announcement(channel, change("create", "r1"), due=0))

    def test_the_request(self) -> None:
        stub = self.stub()
        announcement = Announcement("news", change("create", "r1"), due=0)
        server = Server(settings(server_url=stub.url, ttl="60", urgency="low"))
        self.addCleanup(server._session.close)
        answer = server.post(announcement)
        request = stub.requests(1)[0]
        self.assertIs(answer.verdict, Verdict.ACCEPTED)
        self.assertEqual(request.path, "/v0/channels/news")
        self.assertEqual(request.body, announcement.body())
        for name, value in {
            "Authorization": "Basic a2ludG86czNjcmV0",
            "Content-Type": "application/json",
            "Idempotency-Key": announcement.key,
            "TTL": "60",
            "Urgency": "low",
        }.items():
            self.assertEqual(request.headers[name], value)

    def test_the_name_of_a_channel_is_one_segment(self) -> None:
        stub = self.stub()
        self.post(stub, "a.b=2F é?#%")
        self.assertEqual(stub.requests(1)[0].path, "/v0/channels/a.b%3D2F%20%C3%A9%3F%23%25")

    def test_a_netrc_does_not_replace_the_credentials(self) -> None:
        stub = self.stub()
        with tempfile.TemporaryDirectory() as directory:
            netrc = Path(directory, "netrc")
            netrc.write_text("machine 127.0.0.1 login other password other\n", encoding="ascii")
            with mock.patch.dict(os.environ, {"NETRC": str(netrc)}):
                self.post(stub)
        self.assertEqual(stub.requests(1)[0].headers["Authorization"], "Basic a2ludG86czNjcmV0")

    def test_verdicts(self) -> None:
        for status, verdict in {
            200: Verdict.ACCEPTED, 202: Verdict.ACCEPTED,
            307: Verdict.REFUSED, 400: Verdict.REFUSED, 401: Verdict.REFUSED, 403: Verdict.REFUSED,
            404: Verdict.REFUSED, 409: Verdict.REFUSED, 413: Verdict.REFUSED, 501: Verdict.REFUSED,
            408: Verdict.LATER, 429: Verdict.LATER, 500: Verdict.LATER, 502: Verdict.LATER,
            503: Verdict.LATER, 504: Verdict.LATER,
        }.items():  # fmt: skip
            with self.subTest(status=status):
                self.assertIs(self.post(self.stub(Answer(status))).verdict, verdict)

    def test_waits(self) -> None:
        for headers, wait in (
            ((("Retry-After", "7"),), 7),
            ((("Backoff", "5"),), 5),
            ((("Retry-After", "7"), ("Backoff", "9")), 9),
            ((), 0),
        ):
            self.assertEqual(self.post(self.stub(Answer(503, headers))).wait, wait)
        self.assertEqual(self.post(self.stub(Answer(202, (("Backoff", "3"),)))).wait, 3)

    def test_a_redirect_is_not_followed(self) -> None:
        other = self.stub()
        stub = self.stub(Answer(307, (("Location", other.url),)))
        self.assertIn("is server_url right?", self.post(stub).reason)
        self.assertEqual(other.requests(0), [])

    def test_nobody_listens(self) -> None:
        stub = Stub()
        stub.close()
        answer = self.post(stub)
        self.assertIs(answer.verdict, Verdict.LATER)
        self.assertEqual(answer.reason, "no connection: ConnectionError")

    def test_no_answer_in_time(self) -> None:
        never = threading.Event()
        self.addCleanup(never.set)
        answer = self.post(self.stub(Answer(after=never)), timeout="0.1")
        self.assertEqual((answer.verdict, answer.reason), (Verdict.LATER, "no answer in time"))

    def test_an_answer_that_is_no_http(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"hello\r\n\r\n")

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            server = Server(settings(server_url=f"http://127.0.0.1:{listener.getsockname()[1]}/"))
            answer = server.post(Announcement("news", change("create", "r1"), due=0))
            thread.join()
            server._session.close()
        self.assertIs(answer.verdict, Verdict.LATER)


class Seconds(unittest.TestCase):
    def test_numbers(self) -> None:
        for text, value in {"0": 0, " 12 ": 12, "99999999": MAX_WAIT}.items():
            self.assertEqual(seconds(text), value)

    def test_dates(self) -> None:
        now = datetime.now(timezone.utc)
        self.assertAlmostEqual(seconds(format_datetime(now + timedelta(seconds=100), usegmt=True)), 100, delta=5)
        self.assertEqual(seconds(format_datetime(now - timedelta(days=1), usegmt=True)), 0)
        self.assertEqual(seconds("Fri, 31 Dec 9999 23:59:59 GMT"), MAX_WAIT)

    def test_anything_else_is_nothing(self) -> None:
        for text in (None, "", "-1", "soon", "1.5", "٣", "Fri, 99 Foo 2026 00:00:00 GMT", "nan"):
            self.assertEqual(seconds(text), 0, text)


if __name__ == "__main__":
    unittest.main()
