"""`GET /v1/language-models`: the language models that a stream may name in its option `lm`, and which words they know.

    curl -H "X-API-Key: KEY" "http://127.0.0.1:2700/v1/language-models?word=dimmer&word=lamp"

They are those of the catalog and files of the data folder's `lms`; see stt_server/speech/decoder/named.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from stt_server.errors import BadOption
from stt_server.speech.text import normalize
from stt_server.web.context import services_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.speech.decoder.named import Named

MOST_WORDS: Final = 100


async def listed(request: web.Request) -> web.Response:
    """All of them by name; of each `word` of the query whether it is known. Raises BadOption for what is no word."""
    words = [_word(given) for given in request.query.getall("word", [])[: MOST_WORDS + 1]]
    if len(words) > MOST_WORDS:
        raise BadOption(f"word may be asked {MOST_WORDS} times at most.", field="word")
    found = services_of(request).named.models
    return web.json_response({"language_models": [_described(each, words) for each in found]})


def _word(given: str) -> str:
    """As transcripts have it."""
    words = normalize(given, drop_unspellable=True).split()
    if len(words) != 1:
        raise BadOption(f"word takes one word that can be spelled a-z, not {given[:60]!r}.", field="word")
    return words[0]


def _described(named: Named, words: Sequence[str]) -> dict[str, Any]:
    """`usable` is false for one that was never read; a `fault` beside a usable one is that of its newer file."""
    model = next((decoder.lm for decoder in named.decoders.values()), None)
    told: dict[str, Any] = {
        "name": named.name,
        "version": named.title,
        "usable": model is not None,
        "fault": named.fault or None,
    }
    if model is not None:
        told["order"] = model.order
        if words:
            told["known"] = {word: model.knows(word) for word in words}
    return told
