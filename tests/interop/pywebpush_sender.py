"""Sends as the job on standard input says, with pywebpush."""

import base64
import json
import sys

from py_vapid import Vapid01, Vapid02
from pywebpush import webpush

# The draft's `WebPush <JWT>` with the key in `Crypto-Key`, and what RFC 8292 made of it. The former is only known
# beside the coding of its time.
FORMS = {"aesgcm": (Vapid01, Vapid02), "aes128gcm": (Vapid02,)}


def main():
    job = json.load(sys.stdin)
    for message in job["messages"]:
        payload = message["payload"]
        data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) if payload else None
        for form in FORMS[message["coding"]]:
            # Raises when the push service refuses.
            webpush(
                job["subscription"],
                data,
                vapid_private_key=form.from_string(job["vapid"]["privateKey"]),
                vapid_claims={"sub": job["contact"]},
                content_encoding=message["coding"],
                ttl=60,
            )


if __name__ == "__main__":
    main()
