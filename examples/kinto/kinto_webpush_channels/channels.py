"""Which collections are announced to which channels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ANY = "*"

# What the server accepts.
MAX_CHANNEL_OCTETS = 1024

_PLACEHOLDER = re.compile(r"\{(bucket|collection)\}")
_ID = re.compile(r"[A-Za-z0-9_-]")
# What an escaped id never holds: it keeps two ids in one name apart.
_SEPARATOR = re.compile(r"[^A-Za-z0-9_=-]")


class ChannelsError(ValueError):
    """A line of the mapping is wrong; the text says which and why."""


@dataclass(frozen=True)
class Route:
    """One line of the mapping: `bucket/collection = channel`."""

    bucket: str
    collection: str
    channel: str

    def matches(self, bucket: str, collection: str) -> bool:
        """Whether changes in the collection go to this line's channel."""
        return self.bucket in (ANY, bucket) and self.collection in (ANY, collection)

    def name(self, bucket: str, collection: str) -> str:
        """The channel's name, with the ids in place of the placeholders."""
        ids = {"bucket": escape(bucket), "collection": escape(collection)}
        return _PLACEHOLDER.sub(lambda found: ids[found[1]], self.channel)


@dataclass(frozen=True)
class Routes:
    """The whole mapping."""

    routes: tuple[Route, ...]

    def channels(self, bucket: str, collection: str) -> list[str]:
        """The channels of a collection: one of each line that matches, each once, in the order of the lines."""
        names = (route.name(bucket, collection) for route in self.routes if route.matches(bucket, collection))
        return list(dict.fromkeys(names))

    def concern(self, bucket: str) -> bool:
        """Whether a collection of the bucket may have a channel."""
        return any(route.bucket in (ANY, bucket) for route in self.routes)


def escape(identifier: str) -> str:
    """Writes every octet but letters, digits, `-` and `_` as `=` and two hexadecimal digits.

    Ids that Kinto makes by itself stay as they are. Different ids never become equal.
    """
    return "".join(
        character if _ID.fullmatch(character) else "".join(f"={octet:02X}" for octet in character.encode())
        for character in identifier
    )


def parse(text: str) -> Routes:
    """Reads the mapping, one `bucket/collection = channel` a line. Blank lines and `#` lines are skipped."""
    routes: dict[Route, int] = {}
    for number, line in _lines(text):
        try:
            route = _route(line)
            if route in routes:
                raise ChannelsError(f"line {routes[route]} says the same")
        except ChannelsError as error:
            raise ChannelsError(f"line {number} ({line!r}): {error}") from None
        routes[route] = number
    if not routes:
        raise ChannelsError("no line maps a collection to a channel, as in `blog/articles = blog-articles`")
    return Routes(tuple(routes))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, numbered from the first that does (an ini file drops what is before it)."""
    for number, line in enumerate(text.strip().splitlines(), start=1):
        line = line.strip()
        if line and not line.startswith("#"):
            yield number, line


def _route(line: str) -> Route:
    source, equals, channel = (part.strip() for part in line.partition("="))
    if not equals:
        raise ChannelsError("expected `bucket/collection = channel`")
    bucket, slash, collection = source.partition("/")
    if not slash or "/" in collection or not bucket or not collection:
        raise ChannelsError("left of `=` there must be a bucket and a collection, as in `blog/articles` or `blog/*`")
    for identifier in (bucket, collection):
        _check_id(identifier)
    _check_channel(channel)
    return Route(bucket, collection, channel)


def _check_id(identifier: str) -> None:
    if identifier != ANY and ("*" in identifier or re.search(r"\s", identifier)):
        raise ChannelsError(f"{identifier!r} is neither an id nor `*`, which stands for any")


def _check_channel(channel: str) -> None:
    """Refuses what the server would refuse, and what would put two collections' changes together by accident."""
    literal = _PLACEHOLDER.sub("", channel)
    if not channel or channel in (".", ".."):
        raise ChannelsError("right of `=` there must be the name of a channel")
    if "{" in literal or "}" in literal:
        raise ChannelsError("the only placeholders are `{bucket}` and `{collection}`")
    if "/" in channel or not channel.isprintable():
        raise ChannelsError("a channel's name has neither `/` nor control characters")
    if len(channel.encode()) > MAX_CHANNEL_OCTETS:
        raise ChannelsError(f"a channel's name has at most {MAX_CHANNEL_OCTETS} octets")
    between = _PLACEHOLDER.split(channel)[2:-1:2]
    if not all(_SEPARATOR.search(text) for text in between):
        raise ChannelsError(
            "put something between the placeholders that ids do not have, as in `{bucket}.{collection}`"
        )
