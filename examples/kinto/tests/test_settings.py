"""What the operator may write."""

import tempfile
import unittest
from pathlib import Path
from typing import Any

from kinto_webpush_channels.settings import SettingsError, read
from support import PLUGIN, plugin_settings, settings


class Reading(unittest.TestCase):
    def test_defaults(self) -> None:
        found = read({k: v for k, v in plugin_settings().items() if not k.endswith("coalesce_seconds")}, {})
        self.assertEqual((found.ttl, found.urgency, found.queue_length, found.retries), (3600, "normal", 1000, 8))
        self.assertEqual((found.connect_timeout, found.timeout, found.coalesce_seconds), (5.0, 10.0, 0.5))

    def test_values(self) -> None:
        found = settings(ttl="0", urgency="high", timeout="2.5", retries="0", queue_length="7")
        self.assertEqual((found.ttl, found.urgency, found.timeout), (0, "high", 2.5))
        self.assertEqual((found.retries, found.queue_length), (0, 7))

    def test_the_api_prefix_may_be_written_or_not(self) -> None:
        for written, meant in {
            "http://127.0.0.1:9999/": "http://127.0.0.1:9999/v0",
            "http://127.0.0.1:9999": "http://127.0.0.1:9999/v0",
            "https://example.com/v0/": "https://example.com/v0",
            "https://example.com/push/v0": "https://example.com/push/v0",
            "https://[::1]:8443/push": "https://[::1]:8443/push/v0",
        }.items():
            self.assertEqual(settings(server_url=written).server_url, meant)

    def test_the_environment_wins(self) -> None:
        environ = {"KINTO_WEBPUSH_CHANNELS_TTL": "5", "WEBPUSH_CHANNELS_TTL": "6"}
        self.assertEqual(read(plugin_settings(ttl="4"), environ).ttl, 5)

    def test_basic_credentials_as_text_even_if_they_look_like_numbers(self) -> None:
        self.assertEqual(settings(user="1", password="1e5").authorization, "Basic MToxZTU=")

    def test_credentials_from_the_environment_and_from_a_file(self) -> None:
        without = {k: v for k, v in plugin_settings().items() if not k.endswith("password")}
        found = read(without, {"KINTO_WEBPUSH_CHANNELS_PASSWORD": "s3cret"})
        self.assertEqual(found.authorization, settings().authorization)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "password")
            path.write_text("s3cret\n", encoding="utf-8")
            found = read({**without, "kinto.webpush_channels.password_file": str(path)}, {})
        self.assertEqual(found.authorization, settings().authorization)

    def test_a_bearer_token(self) -> None:
        found = read(_with(user=None, password=None, bearer_token="abc.def"), {})
        self.assertEqual(found.authorization, "Bearer abc.def")

    def test_no_credential_is_shown(self) -> None:
        found = settings()
        self.assertNotIn(found.authorization, repr(found))


class Errors(unittest.TestCase):
    def refused(self, **changed: Any) -> str:
        with self.assertRaises(SettingsError) as caught:
            read(_with(**changed), {})
        return str(caught.exception)

    def test_each_names_the_setting(self) -> None:
        for name, value in {
            "server_url": "push.example.com",
            "urgency": "urgent",
            "ttl": "-1",
            "retries": "1.5",
            "queue_length": "0",
            "timeout": "nan",
            "connect_timeout": "soon",
            "coalesce_seconds": "61",
            "exit_timeout": "inf",
            "channels": "blog",
            "user": "a:b",
            "password_file": "/nonexistent",
        }.items():
            changed = {name: value, **({"password": None} if name == "password_file" else {})}
            with self.subTest(name=name):
                self.assertIn(f"kinto.webpush_channels.{name}", self.refused(**changed))

    def test_what_is_missing(self) -> None:
        self.assertIn("server_url is missing", self.refused(server_url=None))
        self.assertIn("channels is missing", self.refused(channels=" "))
        self.assertIn("password_file", self.refused(password=None))

    def test_what_excludes_each_other(self) -> None:
        self.assertIn("excludes", self.refused(bearer_token="x"))
        self.assertIn("both set", self.refused(password_file="/x"))

    def test_urls_that_would_leak_or_be_cut(self) -> None:
        self.assertIn("must not hold credentials", self.refused(server_url="https://a:s3cret@example.com/"))
        self.assertIn("must end with its path", self.refused(server_url="https://example.com/?x=1"))
        for url in ("https://example.com:99999/", "https://", "ftp://example.com/", "https://[::1/"):
            self.assertIn("must be like", self.refused(server_url=url))

    def test_secrets_are_not_in_the_text(self) -> None:
        self.assertNotIn("s3cret", self.refused(server_url="https://a:s3cret@example.com/"))
        self.assertNotIn("tok en", self.refused(user=None, password=None, bearer_token="tok en"))

    def test_a_misspelt_setting(self) -> None:
        self.assertIn("there is no setting kinto.webpush_channels.ulr", self.refused(ulr="x"))

    def test_the_line_of_the_mapping_is_named(self) -> None:
        self.assertIn("channels: line 2 ('x'): ", self.refused(channels="a/b = c\nx"))


def _with(**changed: Any) -> dict[str, str]:
    written = {**PLUGIN, **changed}
    return {f"kinto.webpush_channels.{name}": value for name, value in written.items() if value is not None}


if __name__ == "__main__":
    unittest.main()
