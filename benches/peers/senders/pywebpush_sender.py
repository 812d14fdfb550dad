"""Sends with pywebpush's webpush(), one message after the other, over one session of requests.

The conversation is that of src/senders.rs.
"""

import base64
import json
import pathlib
import sys

import requests
from py_vapid import Vapid
from pywebpush import webpush

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


class Nowhere:
    """A session that keeps the body of the last request, and sends nothing."""

    def __init__(self):
        self.body = None
        self.response = requests.Response()
        self.response.status_code = 201

    def post(self, _endpoint, data, **_):
        self.body = data
        return self.response


def send(subscription, data, key, session):
    # The claims are new each time: webpush() writes into them.
    webpush(
        subscription,
        data,
        vapid_private_key=key,
        vapid_claims={"sub": "mailto:push@example.com"},
        ttl=3600,
        requests_session=session,
    )


def main():
    directory = pathlib.Path(sys.argv[1])
    subscriptions = json.loads((directory / "subscriptions.json").read_text())
    key = Vapid.from_file(directory / "vapid.pem")
    session, nowhere = requests.Session(), Nowhere()
    for line in sys.stdin:
        what, *numbers = line.split()
        answer = None
        if what != "prepare":
            size, times = map(int, numbers)
            data = (ALPHABET * (size // len(ALPHABET) + 1))[:size]
            over = session if what == "push" else nowhere
            for n in range(times):
                send(subscriptions[n % len(subscriptions)], data, key, over)
            if what == "message":
                answer = base64.b64encode(nowhere.body).decode()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
