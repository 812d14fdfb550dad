"""What the operator wrote, read and checked once when Kinto starts."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kinto_webpush_channels.channels import ChannelsError, Routes, parse

PREFIX = "kinto.webpush_channels."
ENVIRONMENT = "KINTO_WEBPUSH_CHANNELS_"

URGENCIES = ("very-low", "low", "normal", "high")

NAMES = (
    "server_url", "user", "password", "password_file", "bearer_token", "bearer_token_file", "channels",
    "ttl", "urgency", "connect_timeout", "timeout", "queue_length", "coalesce_seconds", "retries", "exit_timeout",
)  # fmt: skip


class SettingsError(ValueError):
    """A setting is missing or wrong; the text names it and never shows a secret."""


@dataclass(frozen=True)
class Settings:
    """The settings, typed. README.md says what each is for."""

    server_url: str
    authorization: str = field(repr=False)
    routes: Routes
    ttl: int = 3600
    urgency: str = "normal"
    connect_timeout: float = 5.0
    timeout: float = 10.0
    queue_length: int = 1000
    coalesce_seconds: float = 0.5
    retries: int = 8
    exit_timeout: float = 5.0


def read(settings: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings of Kinto and of the environment, which wins."""
    source = _Source(settings, environ)
    source.refuse_unknown()
    return Settings(
        server_url=_server_url(source),
        authorization=_authorization(source),
        routes=_routes(source),
        ttl=int(source.number("ttl", Settings.ttl, 0, 2_592_000, whole=True)),
        urgency=_urgency(source),
        connect_timeout=source.number("connect_timeout", Settings.connect_timeout, 0.1, 60),
        timeout=source.number("timeout", Settings.timeout, 0.1, 300),
        queue_length=int(source.number("queue_length", Settings.queue_length, 1, 100_000, whole=True)),
        coalesce_seconds=source.number("coalesce_seconds", Settings.coalesce_seconds, 0, 60),
        retries=int(source.number("retries", Settings.retries, 0, 100, whole=True)),
        exit_timeout=source.number("exit_timeout", Settings.exit_timeout, 0, 60),
    )


class _Source:
    """Where settings come from.

    Only the prefixed keys are looked at: Kinto turns the others into numbers where it can (a password of digits), and
    lets `WEBPUSH_CHANNELS_*`, the push server's own variables, override them.
    """

    def __init__(self, settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ

    def refuse_unknown(self) -> None:
        """A misspelt setting would otherwise be the default, silently."""
        for key in self._settings:
            if key.startswith(PREFIX) and key.removeprefix(PREFIX) not in NAMES:
                raise SettingsError(f"there is no setting {key}; there are: {', '.join(NAMES)}")

    def text(self, name: str) -> str | None:
        """The value without white space around it; None if it is not set or empty."""
        value = self._environ.get(ENVIRONMENT + name.upper(), self._settings.get(PREFIX + name))
        return str(value).strip() or None if value is not None else None

    def required(self, name: str) -> str:
        """The value; an error if there is none."""
        value = self.text(name)
        if value is None:
            raise SettingsError(f"{PREFIX}{name} is missing")
        return value

    def secret(self, name: str) -> str | None:
        """The value, or what the file holds that `NAME_file` names."""
        value, path = self.text(name), self.text(f"{name}_file")
        if value is not None and path is not None:
            raise SettingsError(f"{PREFIX}{name} and {PREFIX}{name}_file are both set: keep one")
        if path is None:
            return value
        try:
            content = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{PREFIX}{name}_file cannot be read: {type(error).__name__}: {path}") from None
        if not content:
            raise SettingsError(f"{PREFIX}{name}_file is empty: {path}")
        return content

    def number(self, name: str, default: float, low: float, high: float, whole: bool = False) -> float:
        """A number within bounds."""
        text = self.text(name)
        if text is None:
            return default
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            kind = "a whole number" if whole else "a number"
            raise SettingsError(f"{PREFIX}{name} must be {kind} from {low} to {high}, not {text!r}")
        return value


def _server_url(source: _Source) -> str:
    """The URL of the API, which ends in `/v0`, whether that was written or not."""
    text = source.required("server_url")
    try:
        url = urlsplit(text)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"{PREFIX}server_url must be like https://push.example.com/")
    if "@" in url.netloc:
        raise SettingsError(f"{PREFIX}server_url must not hold credentials: use user and password, or bearer_token")
    if url.query or url.fragment:
        raise SettingsError(f"{PREFIX}server_url must end with its path")
    path = url.path.rstrip("/").removesuffix("/v0")
    return f"{url.scheme}://{url.netloc}{path}/v0"


def _authorization(source: _Source) -> str:
    """The value of the header."""
    user, password, token = source.text("user"), source.secret("password"), source.secret("bearer_token")
    if token is not None and (user is not None or password is not None):
        raise SettingsError(f"{PREFIX}bearer_token excludes {PREFIX}user and {PREFIX}password")
    if token is not None:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(f"{PREFIX}bearer_token has characters that a token cannot have")
        return f"Bearer {token}"
    if user is None or password is None:
        raise SettingsError(f"set {PREFIX}user and {PREFIX}password (or password_file), or {PREFIX}bearer_token")
    if ":" in user:
        raise SettingsError(f"{PREFIX}user must not have a colon")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _routes(source: _Source) -> Routes:
    try:
        return parse(source.required("channels"))
    except ChannelsError as error:
        raise SettingsError(f"{PREFIX}channels: {error}") from None


def _urgency(source: _Source) -> str:
    text = source.text("urgency") or Settings.urgency
    if text not in URGENCIES:
        raise SettingsError(f"{PREFIX}urgency must be one of {', '.join(URGENCIES)}, not {text!r}")
    return text
