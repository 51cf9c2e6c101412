"""The key in a request, wherever its client can put one.

| where | as |
| --- | --- |
| `X-API-Key` | the key |
| `Authorization: Bearer`, `Authorization: Token` | the key |
| `Authorization: Basic` | id and secret as user and password, in either order, or the key as either of them |
| `Sec-WebSocket-Protocol: token, KEY`, `bearer, KEY` | the key, for a browser's WebSocket: it sets no other header |
| query `key`, `api_key` | the key, for clients that can set no header at all |

What is no key of ours becomes a credential without an id: nobody's.
"""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput
from stt_server.store.keys import PREFIX, Credential, parse_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

IN_QUERY: Final = ("key", "api_key")
SCHEMES: Final = ("token", "bearer")
OPENAIS: Final = "openai-insecure-api-key."
_ID: Final = re.compile(rf"(?:{PREFIX}_)?([0-9a-f]{{16}})")


def credential_of(request: web.Request, *, ours_only: bool) -> Credential | None:
    """What was shown, if anything was. With `ours_only` what is no key of ours counts as nothing.

    Raises BadInput for two that differ: one of them would be believed without the sender knowing which.
    """
    shown = {each for each in _all(request) if each.id or not ours_only}
    if len(shown) > 1:
        raise BadInput("The request has two different keys; send one.", field="key")
    return shown.pop() if shown else None


def without_key(request: web.Request) -> list[tuple[str, str]]:
    """The query of a request as pairs, without the key that may be in it."""
    return [(name, value) for name, value in request.query.items() if name not in IN_QUERY]


def _all(request: web.Request) -> Iterator[Credential]:
    for value in request.headers.getall("X-API-Key", []):
        yield from _key(value)
    for value in request.headers.getall("Authorization", []):
        scheme, _, rest = value.strip().partition(" ")
        yield from _basic(rest) if scheme.casefold() == "basic" else _key(rest)
    yield from _beside_a_subprotocol(request)
    for name in IN_QUERY:
        for value in request.query.getall(name, []):
            yield from _key(value)


def offered_subprotocols(request: web.Request) -> list[str]:
    """What the client offers to speak over its WebSocket, in its order."""
    said = request.headers.getall("Sec-WebSocket-Protocol", [])
    return [each.strip() for line in said for each in line.split(",") if each.strip()]


def _beside_a_subprotocol(request: web.Request) -> Iterator[Credential]:
    """The value behind `token` or `bearer` (Deepgram's clients), or in `openai-insecure-api-key.…` (OpenAI's)."""
    offered = offered_subprotocols(request)
    for name, value in pairwise(offered):
        if name.casefold() in SCHEMES:
            yield from _key(value)
    for each in offered:
        if each.startswith(OPENAIS):
            yield from _key(each.removeprefix(OPENAIS))


def _key(text: str) -> Iterator[Credential]:
    if text := text.strip():
        yield parse_key(text) or Credential("", text)


def _basic(encoded: str) -> Iterator[Credential]:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # no base64, no ASCII, no UTF-8
        yield Credential("", encoded)
        return
    if whole := [key for key in map(parse_key, (user, password)) if key]:
        yield from whole
    elif ident := _ID.fullmatch(user):
        yield Credential(ident[1], password)
    elif ident := _ID.fullmatch(password):
        yield Credential(ident[1], user)
    else:
        yield Credential("", encoded)
