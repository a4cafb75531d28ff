"""The Authorization header for cameras that ask for a login, by HTTP or RTSP: Basic and Digest (RFC 7616).

The handlers of urllib.request are for HTTP alone. Before Python 3.14 they raise ValueError for SHA-256, and they do so for
a password that is not ASCII.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable

from .address import Address

HASHES = {"MD5": "md5", "SHA-256": "sha256"}


def authorization(camera: Address, method: str, uri: str, challenges: Iterable[str], count: int = 1) -> str:
    """Return the header's value for one of the WWW-Authenticate values `challenges`; "" if none is known.

    `count`: how many requests, with this one, have answered these challenges. A camera may refuse a repeated count.
    """
    basic = ""
    for challenge in challenges:
        scheme, _, text = challenge.strip().partition(" ")
        if scheme.lower() == "basic":
            basic = "Basic " + base64.b64encode(f"{camera.user}:{camera.password}".encode()).decode()
        elif scheme.lower() == "digest" and (answer := _digest(camera, method, uri, text, count)):
            return answer
    return basic


def _digest(camera: Address, method: str, uri: str, challenge: str, count: int) -> str:
    # \b, or a word of 64 kB would take Python 44 s, from each of its letters on, while the door waits.
    found = re.findall(r'\b(\w+)=(?:"([^"]*)"|([^",\s]+))', challenge)
    fields = {key.lower(): quoted or plain for key, quoted, plain in found}
    algorithm = fields.get("algorithm", "MD5").upper()
    if algorithm not in HASHES:
        return ""

    def digest(text: str) -> str:
        return hashlib.new(HASHES[algorithm], text.encode(), usedforsecurity=False).hexdigest()

    realm, nonce = fields.get("realm", ""), fields.get("nonce", "")
    secret, request = digest(f"{camera.user}:{realm}:{camera.password}"), digest(f"{method}:{uri}")
    parts = [f'username="{camera.user}", realm="{realm}", nonce="{nonce}", uri="{uri}"']
    if "auth" in re.split(r"[,\s]+", fields.get("qop", "")):
        client_nonce = secrets.token_hex(8)
        answer = digest(f"{secret}:{nonce}:{count:08x}:{client_nonce}:auth:{request}")
        parts.append(f'qop=auth, nc={count:08x}, cnonce="{client_nonce}"')
    else:
        answer = digest(f"{secret}:{nonce}:{request}")
    parts.append(f'response="{answer}"')
    if "algorithm" in fields:
        parts.append(f"algorithm={fields['algorithm']}")
    if "opaque" in fields:
        parts.append(f'opaque="{fields["opaque"]}"')
    return "Digest " + ", ".join(parts)
