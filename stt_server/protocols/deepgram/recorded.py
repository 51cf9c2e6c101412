"""The answer to `POST /v1/listen`: what was heard of a recording, by channel, with utterances and paragraphs if asked.

An utterance here is a run of words without a pause of `utt_split` seconds. Paragraphs are made of them: nothing is
punctuated, so a sentence is an utterance, and a paragraph ends with a pause of `PARAGRAPH_S`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, Forbidden
from stt_server.protocols.deepgram.live import echoed
from stt_server.protocols.deepgram.transcript import (
    alternative,
    encode,
    model_info,
    model_uuid,
    seconds,
    trust,
    word_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from stt_server.messages import Transcript, Word
    from stt_server.protocols.deepgram.query import Asked

PARAGRAPH_S: Final = 2.0
_UTTERANCES: Final = uuid.UUID("0a0c4a34-8f8e-57a5-8a40-1e4f6f2d7a55")  # the space in which utterances' ids are made


@dataclass(frozen=True, slots=True)
class Request:
    """What the answer says of the request itself. `sha256` is that of the body, `created` ISO 8601."""

    id: str
    sha256: str
    created: str


def answer(asked: Asked, request: Request, heard: Sequence[Transcript]) -> str:
    """The body; `heard` is one for each channel that was heard apart, at least one."""
    results: dict[str, Any] = {"channels": [_channel(said, asked) for said in heard]}
    if asked.utterances:
        results["utterances"] = list(_utterances(asked, request, heard))
    return encode({"metadata": _metadata(asked, request, heard), "results": results})


def refuse_json(*, names_url: bool) -> BadInput | Forbidden:
    """Why a JSON body is not taken: the server fetches nothing, since whoever may ask it could reach what it can."""
    if names_url:
        return Forbidden("This server fetches no addresses: send the audio itself as the body, not a `url`.")
    return BadInput("A JSON body must be an object with a `url`, and those are not taken here: send the audio itself.")


def _metadata(asked: Asked, request: Request, heard: Sequence[Transcript]) -> dict[str, Any]:
    ran = heard[0]
    ident = model_uuid(ran.version or ran.model)
    said = {
        "transaction_key": "deprecated",
        "request_id": request.id,
        "sha256": request.sha256,
        "created": request.created,
        "duration": seconds(max(said.audio_s for said in heard)),
        "channels": len(heard),
        "models": [ident],
        "model_info": {ident: model_info(ran.model, ran.version or ran.model)},
    }
    return said | echoed(asked)


def _channel(said: Transcript, asked: Asked) -> dict[str, Any]:
    best = alternative(said.text, said.words)
    if asked.paragraphs:
        best["paragraphs"] = _paragraphs(said.words, asked.utt_split_s)
    return {"alternatives": [best]}


def _utterances(asked: Asked, request: Request, heard: Sequence[Transcript]) -> Iterator[dict[str, Any]]:
    """Of all channels, by their beginnings."""
    found = [(run, i) for i, said in enumerate(heard) for run in _runs(said.words, asked.utt_split_s)]
    for number, (words, channel) in enumerate(sorted(found, key=lambda pair: (pair[0][0].start_s, pair[1]))):
        yield {
            "start": seconds(words[0].start_s),
            "end": seconds(words[-1].end_s),
            "confidence": trust(words),
            "channel": channel,
            "transcript": _text(words),
            "words": [word_json(word) for word in words],
            "id": str(uuid.uuid5(_UTTERANCES, f"{request.id} {number}")),
        }


def _paragraphs(words: Sequence[Word], split_s: float) -> dict[str, Any]:
    paragraphs = [_paragraph(list(run), split_s) for run in _runs(words, max(PARAGRAPH_S, split_s))]
    texts = (" ".join(sentence["text"] for sentence in each["sentences"]) for each in paragraphs)
    return {"transcript": "\n\n".join(texts), "paragraphs": paragraphs}


def _paragraph(words: Sequence[Word], split_s: float) -> dict[str, Any]:
    times = {"start": seconds(words[0].start_s), "end": seconds(words[-1].end_s)}
    return {"sentences": [_sentence(run) for run in _runs(words, split_s)], "num_words": len(words), **times}


def _sentence(words: Sequence[Word]) -> dict[str, Any]:
    return {"text": _text(words), "start": seconds(words[0].start_s), "end": seconds(words[-1].end_s)}


def _runs(words: Iterable[Word], gap_s: float) -> Iterator[list[Word]]:
    """Words with no pause of so many seconds between them."""
    run: list[Word] = []
    for word in words:
        if run and word.start_s - run[-1].end_s >= gap_s:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _text(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)
