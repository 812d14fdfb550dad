"""A Kinto with the plug-in that keeps everything in memory, to try it and for tests. `scripts/kinto run` starts it."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from pyramid.paster import get_app, setup_logging
from waitress import create_server

APPLICATION = {
    "use": "egg:kinto",
    "kinto.includes": "kinto.plugins.default_bucket\n    kinto_webpush_channels",
    "kinto.storage_backend": "kinto.core.storage.memory",
    "kinto.cache_backend": "kinto.core.cache.memory",
    "kinto.permission_backend": "kinto.core.permission.memory",
    "kinto.userid_hmac_secret": "it ends with this process",
    "kinto.bucket_create_principals": "system.Authenticated",
    "multiauth.policies": "basicauth",
}

LOGGING = """
[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = INFO
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain

[formatter_plain]
format = %(levelname)s %(name)s: %(message)s
"""


def main() -> None:
    """Serves until SIGINT or SIGTERM, and ends in order, so that what waits is posted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = _options()
    # What is on this machine is not behind a proxy.
    os.environ["no_proxy"] = ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get("no_proxy")]))
    with tempfile.TemporaryDirectory(prefix="webpush-kinto-") as directory:
        ini = Path(directory, "kinto.ini")
        ini.write_text(_ini(options), encoding="utf-8")
        setup_logging(str(ini))
        application = get_app(str(ini))
    server = create_server(application, host="127.0.0.1", port=options.port)
    print(f"listening on http://127.0.0.1:{server.effective_port}/v1/", flush=True)
    server.run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/kinto run",
        description=__doc__,
        epilog="The credentials come from KINTO_WEBPUSH_CHANNELS_USER and KINTO_WEBPUSH_CHANNELS_PASSWORD.",
    )
    parser.add_argument("--port", type=int, default=8888, help="0: any that is free (default: %(default)s)")
    parser.add_argument("--server", default="http://127.0.0.1:9999/", help="the channels service (%(default)s)")
    parser.add_argument(
        "--channels", default="*/* = {bucket}.{collection}", help="the mapping, lines apart (%(default)s)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another setting of the plug-in"
    )
    return parser.parse_args()


def _ini(options: argparse.Namespace) -> str:
    plugin = {"server_url": options.server, "channels": options.channels}
    plugin.update((name, value) for name, _, value in (setting.partition("=") for setting in options.set))
    lines = {**APPLICATION, **{f"kinto.webpush_channels.{name}": value for name, value in plugin.items()}}
    # Lines of a value that are not indented would be settings of their own; `%` begins a reference.
    text = (f"{name} = {value.replace('%', '%%')}".replace("\n", "\n    ") for name, value in lines.items())
    return "[app:main]\n" + "\n".join(text) + "\n" + LOGGING


if __name__ == "__main__":
    main()
