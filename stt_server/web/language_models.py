"""`GET /v1/language-models`: the language models that a stream may name in its option `lm`, and which words they know.

    curl -H "X-API-Key: KEY" "http://127.0.0.1:2700/v1/language-models?word=dimmer&word=lamp"

They are those of the catalog and files of the data folder's `lms`; see stt_server/speech/decoder/named.py.

    curl -H "X-API-Key: KEY" http://127.0.0.1:2700/v1/language-models/home/words -d '{"words": ["dimmer"]}'

adds words to one: the model with them is the newest version in the catalog, and is followed without a restart.
"""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from stt_server.catalog.adding import Additions, add_words
from stt_server.errors import BadOption, Busy, NotFound, Unavailable
from stt_server.speech.text import normalize
from stt_server.web.context import identity_of, services_of
from stt_server.web.payloads import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.services import Services
    from stt_server.speech.decoder.named import Named

MOST_WORDS: Final = 100
MOST_SENTENCES: Final = 1000
RETRY_S: Final = 5.0
IN_USE_S: Final = 20.0  # how long an answer waits until the new version is in use here
ADDING: Final = web.AppKey("adding", asyncio.Lock)


class NewWords(BaseModel):
    """Words to be added, one by one, and sentences; in these, too, are words that may be new."""

    model_config = ConfigDict(extra="forbid")

    words: list[Annotated[str, Field(max_length=60)]] = Field(min_length=1, max_length=MOST_WORDS)
    like: str | None = Field(None, max_length=60)
    times: float = Field(1.0, gt=0, le=1000)
    sentences: list[Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f]*$")]] = Field(
        [], max_length=MOST_SENTENCES
    )


def install(app: web.Application) -> None:
    """One at a time: each is a process, and the next begins with what the last has made."""
    app[ADDING] = asyncio.Lock()


async def listed(request: web.Request) -> web.Response:
    """All of them by name; of each `word` of the query whether it is known. Raises BadOption for what is no word."""
    words = [_word(given) for given in request.query.getall("word", [])[: MOST_WORDS + 1]]
    if len(words) > MOST_WORDS:
        raise BadOption(f"word may be asked {MOST_WORDS} times at most.", field="word")
    found = services_of(request).named.models
    return web.json_response({"language_models": [_described(each, words) for each in found]})


async def add(request: web.Request) -> web.Response:
    """Add words to a language model by its name.

    Raises NotFound, BadInput for what is no word, Busy while others are being added, and what `add_words` raises.
    """
    services, lock = services_of(request), request.app[ADDING]
    named = _named(services, request.match_info["name"])
    asked = await read_json(request, NewWords)
    words = list(dict.fromkeys(_word(each, "words") for each in asked.words))
    like = None if asked.like is None else _word(asked.like, "like")
    new = [word for word in words if not _knows(named, word)]
    if new or asked.sentences:
        if lock.locked():
            raise Busy("Words are being added already; ask again in a moment.", retry_after_s=RETRY_S)
        async with lock:
            additions = Additions(tuple(words), like, asked.times, tuple(asked.sentences))
            actor = identity_of(request).id
            made = await asyncio.to_thread(add_words, services.store, services.objects, named, additions, actor=actor)
            named = await _in_use(services, named.name, made.ref)
    known = {word: _knows(named, word) for word in words}
    return web.json_response({"name": named.name, "version": named.title, "added": new, "known": known})


def _named(services: Services, name: str) -> Named:
    """Raises NotFound naming near ones, Unavailable for one that cannot be read."""
    found = {each.name: each for each in services.named.models}
    if name not in found:
        near = ", ".join(get_close_matches(name, found, n=3) or list(found)[:8])
        hint = f"there is {near}" if near else "`earloop lm import` makes one"
        raise NotFound(f"There is no language model {name[:64]!r} here; {hint}.", field="name")
    if not found[name].usable:
        raise Unavailable(f"The language model {name!r} cannot be used: {found[name].fault}")
    return found[name]


def _knows(named: Named, word: str) -> bool:
    model = next((decoder.lm for decoder in named.decoders.values()), None)
    return model is not None and model.knows(word)


async def _in_use(services: Services, name: str, title: str) -> Named:
    """The model once this server uses that version. Raises Unavailable where that takes long; it is kept anyway."""
    try:
        async with asyncio.timeout(IN_USE_S):
            while (found := _named(services, name)).title != title:  # noqa: ASYNC110 - a folder is looked into
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Unavailable(f"{title} is kept, but not in use here, yet; look for it in a moment.") from None
    return found


def _word(given: str, field: str = "word") -> str:
    """As transcripts have it."""
    words = normalize(given, drop_unspellable=True).split()
    if len(words) != 1:
        raise BadOption(f"{field} takes one word that can be spelled a-z, not {given[:60]!r}.", field=field)
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
