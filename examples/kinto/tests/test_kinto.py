"""The plug-in in a real Kinto, in this process, against a push server that is a stub."""

import json
import logging
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import kinto
from pyramid.paster import get_app
from webob import Request, Response

from kinto_webpush_channels.settings import SettingsError
from support import Answer, Stub, plugin_settings, settings

LOGGER = "kinto_webpush_channels"
RECORDS = "/buckets/blog/collections/articles/records"

KINTO = {
    "kinto.includes": "kinto.plugins.default_bucket kinto_webpush_channels",
    "kinto.storage_backend": "kinto.core.storage.memory",
    "kinto.cache_backend": "kinto.core.cache.memory",
    "kinto.permission_backend": "kinto.core.permission.memory",
    "kinto.userid_hmac_secret": "test",
    "kinto.bucket_create_principals": "system.Authenticated",
    "multiauth.policies": "basicauth",
}


class Kinto:
    """A Kinto of its own."""

    def __init__(self, **settings: str) -> None:
        self._application = kinto.main({}, **KINTO, **plugin_settings(**settings))
        self.announcer = self._application.registry.webpush_channels

    def call(self, method: str, path: str, body: Any = None, status: int | None = None, **headers: str) -> Response:
        """One request, which must succeed or have the status."""
        request = Request.blank(f"/v1{path}", method=method, headers=headers)
        request.authorization = ("Basic", "YWxpY2U6cw==")
        if body is not None:
            request.content_type = "application/json"
            request.body = json.dumps(body).encode()
        response = request.get_response(self._application)
        expected = response.status_code < 300 if status is None else response.status_code == status
        assert expected, f"{method} {path}: {response.status} {response.text}"
        return response


class Case(unittest.TestCase):
    def start(self, *answers: Answer, **settings: str) -> tuple[Kinto, Stub]:
        """A Kinto with the collection blog/articles, and its push server."""
        stub = Stub(answers)
        self.addCleanup(stub.close)
        return self.kinto(server_url=stub.url, **settings), stub

    def kinto(self, **settings: str) -> Kinto:
        app = Kinto(**settings)
        self.addCleanup(app.announcer.close)
        app.call("PUT", "/buckets/blog")
        app.call("PUT", "/buckets/blog/collections/articles")
        return app

    def said(self, stub: Stub, app: Kinto) -> list[tuple[str, str, list[str]]]:
        """All that was ever posted."""
        app.announcer.close()
        return [
            (request.data["action"], f"{request.data['bucket']}/{request.data['collection']}", request.data["records"])
            for request in stub.requests(0)
        ]


class Announcing(Case):
    def test_create_change_and_delete_are_three_posts(self) -> None:
        app, stub = self.start()
        created = app.call("POST", RECORDS, {"data": {"id": "r1", "title": "one"}}).json["data"]
        changed = app.call("PATCH", f"{RECORDS}/r1", {"data": {"title": "two"}}).json["data"]
        deleted = app.call("DELETE", f"{RECORDS}/r1").json["data"]
        expected = [
            {
                "action": action,
                "bucket": "blog",
                "collection": "articles",
                "timestamp": record["last_modified"],
                "records": ["r1"],
            }
            for action, record in (("create", created), ("update", changed), ("delete", deleted))
        ]
        requests = stub.requests(3)
        self.assertEqual([request.data for request in requests], expected)
        self.assertEqual({request.path for request in requests}, {"/v0/channels/blog-articles"})
        self.assertEqual(len({request.headers["Idempotency-Key"] for request in requests}), 3)

    def test_nothing_of_a_record_but_its_id_leaves_kinto(self) -> None:
        app, stub = self.start()
        app.call("POST", RECORDS, {"data": {"id": "r1", "title": "t0p s3cret"}})
        self.assertNotIn(b"t0p s3cret", stub.requests(1)[0].body)

    def test_a_collection_without_a_channel_is_not_announced(self) -> None:
        app, stub = self.start()
        app.call("PUT", "/buckets/blog/collections/comments")
        app.call("POST", "/buckets/blog/collections/comments/records", {"data": {"id": "r1"}})
        self.assertEqual(self.said(stub, app), [])

    def test_a_batch_is_one_post_for_each_action(self) -> None:
        app, stub = self.start()
        app.call("PUT", f"{RECORDS}/r0", {"data": {"title": "one"}})
        stub.requests(1)
        puts = [{"path": f"{RECORDS}/r{number}", "body": {"data": {"title": "two"}}} for number in range(4)]
        answers = app.call("POST", "/batch", {"defaults": {"method": "PUT"}, "requests": puts}).json["responses"]
        requests = {request.data["action"]: request.data for request in stub.requests(3)[1:]}
        self.assertEqual(requests["create"]["records"], ["r1", "r2", "r3"])
        self.assertEqual(requests["update"]["records"], ["r0"])
        self.assertEqual(requests["create"]["timestamp"], answers[3]["body"]["data"]["last_modified"])

    def test_a_batch_that_fails_is_not_announced(self) -> None:
        app, stub = self.start()
        good = {"method": "PUT", "path": f"{RECORDS}/r1", "body": {"data": {}}}
        storage = app._application.registry.storage
        bad = {"method": "DELETE", "path": f"{RECORDS}/r1"}
        with mock.patch.object(storage, "delete", side_effect=RuntimeError("broken")):
            app.call("POST", "/batch", {"requests": [good, bad]}, status=500)
        self.assertEqual(self.said(stub, app), [])

    def test_requests_that_come_together_are_one_post(self) -> None:
        app, stub = self.start(coalesce_seconds="60")
        for number in range(3):
            app.call("POST", RECORDS, {"data": {"id": f"r{number}"}})
        self.assertEqual(self.said(stub, app), [("create", "blog/articles", ["r0", "r1", "r2"])])

    def test_what_changes_nothing_is_not_announced(self) -> None:
        app, stub = self.start()
        app.call("PUT", f"{RECORDS}/r1", {"data": {"title": "one"}})
        app.call("PUT", f"{RECORDS}/r1", {"data": {"title": "one"}})
        app.call("PATCH", f"{RECORDS}/r1", {"data": {"title": "one"}})
        app.call("PATCH", f"{RECORDS}/r1", {"permissions": {"read": ["system.Everyone"]}})
        app.call("POST", RECORDS, {"data": {"id": "r1", "title": "two"}})
        app.call("PUT", f"{RECORDS}/r1", {"data": {"title": "three"}}, status=412, **{"If-None-Match": "*"})
        app.call("GET", f"{RECORDS}/r1")
        self.assertEqual(self.said(stub, app), [("create", "blog/articles", ["r1"])])

    def test_personal_buckets_can_have_channels(self) -> None:
        app, stub = self.start(channels="*/tasks = tasks.{bucket}")
        bucket = app.call("GET", "/").json["user"]["bucket"]
        app.call("POST", "/buckets/default/collections/tasks/records", {"data": {"id": "t1"}})
        request = stub.requests(1)[0]
        self.assertEqual(request.path, f"/v0/channels/tasks.{bucket}")
        self.assertEqual((request.data["bucket"], request.data["records"]), (bucket, ["t1"]))

    def test_more_ids_than_a_push_holds(self) -> None:
        app, stub = self.start()
        for number in range(200):
            app.call("PUT", f"{RECORDS}/{number:036}", {"data": {}})
        app.call("DELETE", RECORDS)
        app.announcer.close()
        deleted = [request for request in stub.requests(0) if request.data["action"] == "delete"]
        self.assertEqual(len(deleted), 1)
        self.assertIs(deleted[0].data["truncated"], True)
        self.assertLess(len(deleted[0].body), 3993)


class Deleting(Case):
    def test_all_records(self) -> None:
        app, stub = self.start(coalesce_seconds="60")
        app.call("PUT", f"{RECORDS}/r1", {"data": {}})
        app.call("PUT", f"{RECORDS}/r2", {"data": {}})
        app.call("DELETE", RECORDS)
        self.assertEqual(sorted(self.said(stub, app)[1][2]), ["r1", "r2"])

    def test_a_collection(self) -> None:
        app, stub = self.start()
        app.call("PUT", f"{RECORDS}/r1", {"data": {}})
        tombstone = app.call("DELETE", "/buckets/blog/collections/articles").json["data"]
        request = stub.requests(2)[1]
        self.assertEqual(
            request.data,
            {
                "action": "delete",
                "bucket": "blog",
                "collection": "articles",
                "timestamp": tombstone["last_modified"],
                "records": [],
            },
        )

    def test_all_collections_of_a_bucket(self) -> None:
        app, stub = self.start(channels="blog/* = blog")
        app.call("PUT", "/buckets/blog/collections/comments")
        app.call("DELETE", "/buckets/blog/collections")
        said = self.said(stub, app)
        self.assertEqual(sorted(said), [("delete", "blog/articles", []), ("delete", "blog/comments", [])])

    def test_a_bucket_with_its_collections(self) -> None:
        app, stub = self.start(channels="blog/* = {collection}")
        app.call("PUT", "/buckets/blog/collections/comments")
        app.call("PUT", "/buckets/shop")
        app.call("PUT", "/buckets/shop/collections/sales")
        app.call("DELETE", "/buckets/blog")
        app.call("DELETE", "/buckets/shop")
        said = self.said(stub, app)
        self.assertEqual(sorted(said), [("delete", "blog/articles", []), ("delete", "blog/comments", [])])

    def test_nobody_looks_into_a_bucket_without_channels(self) -> None:
        app, _ = self.start()
        app.call("PUT", "/buckets/shop")
        storage = app._application.registry.storage
        with mock.patch.object(storage, "list_all") as list_all:
            app.call("DELETE", "/buckets/shop")
        list_all.assert_not_called()

    def test_all_buckets(self) -> None:
        app, stub = self.start(channels="*/* = all")
        app.call("PUT", "/buckets/shop")
        app.call("PUT", "/buckets/shop/collections/sales")
        app.call("DELETE", "/buckets")
        said = self.said(stub, app)
        self.assertEqual(sorted(said), [("delete", "blog/articles", []), ("delete", "shop/sales", [])])

    def test_a_storage_that_cannot_list_does_not_break_the_request(self) -> None:
        app, stub = self.start()
        storage = app._application.registry.storage
        with self.assertLogs(LOGGER, "ERROR"), mock.patch.object(storage, "list_all", side_effect=RuntimeError):
            app.call("DELETE", "/buckets/blog")
        self.assertEqual(self.said(stub, app), [])


class Trouble(Case):
    """The request to Kinto ends while the push server's answer is still open: nothing waits for it."""

    def test_a_server_that_is_slow_delays_nothing(self) -> None:
        answer = threading.Event()
        app, stub = self.start(Answer(after=answer))
        app.call("POST", RECORDS, {"data": {"id": "r1"}})
        stub.requests(1)
        for number in range(20):
            app.call("PUT", f"{RECORDS}/x{number}", {"data": {}})
        self.assertEqual(len(stub.requests(1)), 1)
        answer.set()
        stub.requests(2)
        self.assertEqual(self.said(stub, app)[0], ("create", "blog/articles", ["r1"]))

    def test_a_server_that_is_down_breaks_nothing_and_the_log_says_so(self) -> None:
        stub = Stub()
        stub.close()
        seen = Lines(self)
        app = self.kinto(server_url=stub.url)
        app.call("POST", RECORDS, {"data": {"id": "r1"}})
        seen.wait("no connection")
        app.call("DELETE", f"{RECORDS}/r1")
        app.announcer.close()
        seen.wait("2 announcements may be lost")
        self.assertNotIn("r1", seen.text())
        self.assertNotIn("s3cret", seen.text())

    def test_503_and_429_are_tried_again_after_the_time_that_they_name(self) -> None:
        for status in (503, 429):
            with self.subTest(status=status):
                app, stub = self.start(Answer(status, (("Retry-After", "0"),)), Answer())
                app.announcer._courier._pause = lambda: 0.0
                app.call("POST", RECORDS, {"data": {"id": "r1"}})
                first, second = stub.requests(2)
                self.assertEqual(first.headers["Idempotency-Key"], second.headers["Idempotency-Key"])
                self.assertEqual(first.body, second.body)

    def test_a_long_retry_after_holds_everything_back(self) -> None:
        seen = Lines(self)
        app, stub = self.start(Answer(503, (("Retry-After", "3000"),)))
        app.call("POST", RECORDS, {"data": {"id": "r1"}})
        seen.wait("the server answered 503")
        app.call("PUT", f"{RECORDS}/r2", {"data": {}})
        app.announcer.close()
        self.assertEqual(len(stub.requests(0)), 1)

    def test_a_publisher_without_a_grant_is_told_and_not_tried_again(self) -> None:
        seen = Lines(self)
        app, stub = self.start(Answer(403))
        app.call("POST", RECORDS, {"data": {"id": "r1"}})
        seen.wait("may this user publish to the channel?")
        app.call("DELETE", f"{RECORDS}/r1")
        self.assertEqual([action for action, _, _ in self.said(stub, app)], ["create", "delete"])
        self.assertNotIn("s3cret", seen.text())

    def test_whatever_breaks_in_the_plugin_does_not_break_the_request(self) -> None:
        app, stub = self.start()
        with self.assertLogs(LOGGER, "ERROR"), mock.patch.object(app.announcer, "_queue", side_effect=RuntimeError):
            app.call("POST", RECORDS, {"data": {"id": "r1"}})
        self.assertEqual(self.said(stub, app), [])


class Starting(Case):
    def test_the_root_tells_that_it_is_there(self) -> None:
        app, _ = self.start()
        capability = app.call("GET", "/").json["capabilities"]["webpush_channels"]
        self.assertEqual(sorted(capability), ["description", "url", "version"])

    def test_an_ini_file_with_comments_in_the_mapping(self) -> None:
        lines = {
            **KINTO,
            **plugin_settings(password="100%%", channels="\n  # news\n  blog/a = a\n  # all\n  blog/* = b"),
        }
        with tempfile.TemporaryDirectory() as directory:
            ini = Path(directory, "kinto.ini")
            text = "".join(f"{name} = {value}\n" for name, value in lines.items())
            ini.write_text(f"[app:main]\nuse = egg:kinto\n{text}", encoding="utf-8")
            announcer = get_app(str(ini)).registry.webpush_channels
        self.addCleanup(announcer.close)
        self.assertEqual(announcer._settings.routes.channels("blog", "a"), ["a", "b"])
        self.assertEqual(announcer._settings.authorization, settings(password="100%").authorization)

    def test_a_wrong_setting_stops_kinto(self) -> None:
        with self.assertRaisesRegex(SettingsError, r"channels: line 1 \('blog'\)"):
            Kinto(channels="blog")


class Lines(logging.Handler):
    """What the plug-in logs during a test, from any thread."""

    def __init__(self, case: unittest.TestCase) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._changed = threading.Condition()
        logger = logging.getLogger(LOGGER)
        propagate, logger.propagate = logger.propagate, False
        logger.addHandler(self)
        case.addCleanup(logger.removeHandler, self)
        case.addCleanup(setattr, logger, "propagate", propagate)

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self._lines.append(self.format(record))
            self._changed.notify_all()

    def text(self) -> str:
        """All lines."""
        return "\n".join(self._lines)

    def wait(self, part: str) -> None:
        """Until a line holds the text."""
        with self._changed:
            assert self._changed.wait_for(lambda: part in self.text(), 20), f"no {part!r} in {self.text()!r}"


if __name__ == "__main__":
    unittest.main()
