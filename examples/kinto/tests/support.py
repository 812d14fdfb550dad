"""Doubles and helpers. Nothing sleeps: what must happen is waited for, with a limit that only a failure reaches."""

import json
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kinto_webpush_channels.changes import Change
from kinto_webpush_channels.settings import Settings, read

# The machine may have a proxy; the stub is never behind it.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

# What tests do not look at is not printed.
for name in ("kinto", "kinto_webpush_channels"):
    logging.getLogger(name).addHandler(logging.NullHandler())

LIMIT = 20.0


@dataclass(frozen=True)
class Answer:
    """What the stub says: a status, headers, and what it waits for before."""

    status: int = 202
    headers: tuple[tuple[str, str], ...] = ()
    after: threading.Event | None = None


@dataclass(frozen=True)
class Request:
    """What the stub got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """The message."""
        return json.loads(self.body)["data"]


class Stub:
    """A push server that answers from a script, then 202, and remembers what it got."""

    def __init__(self, answers: Sequence[Answer] = ()) -> None:
        self._answers = list(answers)
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def take(self, request: Request) -> Answer:
        """One request comes in."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            return self._answers.pop(0) if self._answers else Answer()

    def requests(self, count: int) -> list[Request]:
        """Waits until there were that many requests, and returns all."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._requests) >= count, LIMIT):
                raise AssertionError(f"{len(self._requests)} requests came, not {count}")
            return list(self._requests)

    def close(self) -> None:
        """The port is free again."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = stub.take(Request(self.path, dict(self.headers), body))
            if answer.after is not None:
                answer.after.wait(LIMIT)
            try:
                self._answer(answer)
            except OSError:
                # Who asked did not wait.
                self.close_connection = True

        def _answer(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", "0")):
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class Clock:
    """Stands still, but for sleepers."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Passes at once."""
        self.slept.append(seconds)
        self.now += seconds


PLUGIN = {
    "server_url": "http://127.0.0.1:9/",
    "user": "kinto",
    "password": "s3cret",
    "channels": "blog/articles = blog-articles",
    "coalesce_seconds": "0",
}


def plugin_settings(**settings: str) -> dict[str, str]:
    """As they are in the ini file."""
    return {f"kinto.webpush_channels.{name}": value for name, value in {**PLUGIN, **settings}.items()}


def settings(**changed: str) -> Settings:
    """Settings for tests, some of them changed."""
    return read(plugin_settings(**changed), {})


def change(action: str = "update", *records: str, **others: Any) -> Change:
    """A change of records of blog/articles."""
    return Change(
        **{"action": action, "bucket": "blog", "collection": "articles", "timestamp": 1, **others}, records=records
    )
