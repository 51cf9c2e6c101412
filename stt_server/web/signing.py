"""Short texts that only this server can have written: what is signed for one purpose is worth nothing for another."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Final

from aiohttp import web

DIGEST_BYTES: Final = 24  # of 32; 192 bits are beyond guessing and make links shorter


class Signer:
    """HMAC-SHA256 with the database's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, purpose: str, *parts: str) -> str:
        """The signature of parts in their order, for one purpose: 32 letters fit for a URL."""
        text = json.dumps([purpose, *parts])  # which says where one part ends, whatever is in it
        digest = hmac.digest(self._secret, text.encode(), hashlib.sha256)[:DIGEST_BYTES]
        return base64.urlsafe_b64encode(digest).decode()

    def verify(self, signature: str, purpose: str, *parts: str) -> bool:
        given = signature.encode(errors="surrogatepass")
        return hmac.compare_digest(given, self.sign(purpose, *parts).encode())


SIGNER: Final = web.AppKey("signer", Signer)
