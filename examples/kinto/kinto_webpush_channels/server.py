"""The push server, as seen from here."""

from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from importlib.metadata import version
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from kinto_webpush_channels.announcement import Announcement
from kinto_webpush_channels.settings import Settings

USER_AGENT = "kinto-webpush-channels/" + version("kinto-webpush-channels")

# No server may silence us for longer by mistake.
MAX_WAIT = 3600.0

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_HINTS = {
    401: "are the credentials right?",
    403: "may this user publish to the channel?",
    404: "is server_url right?",
}


class Verdict(Enum):
    """What to do next."""

    ACCEPTED = "accepted"
    LATER = "later"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """How a try ended."""

    verdict: Verdict
    reason: str
    wait: float = 0.0
    """Seconds without requests that the server asked for."""


class Server:
    """Posts over a connection that it keeps. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.server_url
        self._timeout = (settings.connect_timeout, settings.timeout)
        self._session = requests.Session()
        self._session.auth = _Authorization(settings.authorization)
        self._session.headers.update(
            {
                "Accept": "application/json",
                "Content-Type": "application/json",
                "TTL": str(settings.ttl),
                "Urgency": settings.urgency,
                "User-Agent": USER_AGENT,
            }
        )

    def post(self, announcement: Announcement) -> Answer:
        """One try. Never raises for what the network or the server do."""
        try:
            response = self._session.post(
                f"{self._url}/channels/{quote(announcement.channel, safe='')}",
                data=announcement.body(),
                headers={"Idempotency-Key": announcement.key},
                timeout=self._timeout,
                # Nobody else gets the credentials, and a POST that is redirected is a wrong URL.
                allow_redirects=False,
            )
        except requests.Timeout:
            return Answer(Verdict.LATER, "no answer in time")
        except requests.RequestException as error:
            # Not the text: it may quote what was sent.
            return Answer(Verdict.LATER, f"no connection: {type(error).__name__}")
        return _judge(response)


class _Authorization(AuthBase):
    """As an `auth`, because requests would otherwise prefer what a ~/.netrc says."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


def _judge(response: requests.Response) -> Answer:
    status = response.status_code
    asked = max(seconds(response.headers.get(name)) for name in ("Retry-After", "Backoff"))
    if 200 <= status < 300:
        return Answer(Verdict.ACCEPTED, str(status), asked)
    if status in _LATER:
        return Answer(Verdict.LATER, f"the server answered {status}", asked)
    hint = "is server_url right?" if 300 <= status < 400 else _HINTS.get(status)
    return Answer(Verdict.REFUSED, f"the server answered {status}" + (f": {hint}" if hint else ""), asked)


def seconds(text: str | None) -> float:
    """Seconds or a date, as RFC 9110 has it for Retry-After; 0 for anything else."""
    if not text:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_WAIT)
    try:
        date = parsedate_to_datetime(text)
        left = date - datetime.now(timezone.utc if date.tzinfo else None)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(left.total_seconds(), 0.0), MAX_WAIT)
