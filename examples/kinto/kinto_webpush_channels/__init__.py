"""Kinto plug-in: tells web push channels which records changed."""

from importlib.metadata import version

from pyramid.config import Configurator

from kinto_webpush_channels import listeners
from kinto_webpush_channels.announcer import Announcer
from kinto_webpush_channels.settings import read

URL = "https://github.com/webpush-channels/webpush-channels/tree/main/examples/kinto"


def includeme(config: Configurator) -> None:
    """What Kinto calls for `kinto.includes = kinto_webpush_channels`."""
    announcer = Announcer(read(config.get_settings()))
    listeners.subscribe(config, announcer)
    config.registry.webpush_channels = announcer
    config.add_api_capability(
        "webpush_channels",
        version=version("kinto-webpush-channels"),
        description="Changes of records are announced to web push channels.",
        url=URL,
    )
