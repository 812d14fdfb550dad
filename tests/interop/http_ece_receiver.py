"""Opens the messages of `--example vectors` (JSON lines on standard input) with http-ece, and compares."""

import base64
import functools
import json
import sys
from collections import Counter

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

# Each size that each encryptor takes.
EXPECTED = {"rustcrypto": 3994, "aws-lc-rs": 3994, "ece": 3967, "ece-aesgcm": 3966}


def octets(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@functools.lru_cache
def private_key(text):
    return ec.derive_private_key(int.from_bytes(octets(text), "big"), ec.SECP256R1())


def opened(message):
    legacy = {name: octets(message[name]) for name in ("salt", "dh") if name in message}
    return http_ece.decrypt(
        octets(message["body"]),
        private_key=private_key(message["private"]),
        auth_secret=octets(message["auth"]),
        version="aesgcm" if legacy else "aes128gcm",
        **legacy,
    )


def main():
    counts = Counter()
    for line in sys.stdin:
        message = json.loads(line)
        plaintext = octets(message["plaintext"])
        if opened(message) != plaintext:
            sys.exit(f"http-ece: {message['encryptor']}, {len(plaintext)} octets: opened to something else")
        counts[message["encryptor"]] += 1
    if counts != EXPECTED:
        sys.exit(f"http-ece: {dict(counts)} messages, expected {EXPECTED}")
    print(f"http-ece opened {sum(counts.values())} messages")


if __name__ == "__main__":
    main()
