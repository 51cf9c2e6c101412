"""Transcripts and models as bodies.

A segment is an utterance. Its schema demands ten keys; those that a CTC model has no value for get the neutral one:

| key | here |
| --- | --- |
| `id`, `start`, `end`, `text` | the utterance; the text begins with a space, as the hosted models' does |
| `avg_logprob` | mean logarithm of the words' confidences, 0 without words |
| `compression_ratio` | bytes of the text over bytes of its zlib stream, as openai/whisper counts it |
| `tokens`, `seek`, `temperature` | `[]`, 0, 0: there are no tokens, windows or sampling |
| `no_speech_prob` | 0: not measured; what voice activity calls silence is no segment |
"""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING, Any, Final

from stt_server.protocols.openai.subtitles import srt, vtt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.messages import Final as Utterance
    from stt_server.messages import Transcript, Word
    from stt_server.protocols.openai.request import Request

TEXT: Final = "text/plain; charset=utf-8"
VTT: Final = "text/vtt; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
LEAST_CONFIDENCE: Final = 1e-4  # its last digit; a word heard with less is not infinitely improbable


def answer(transcript: Transcript, asked: Request) -> tuple[str, str]:
    """Body and content type of a transcript, as it was asked for."""
    if asked.response_format == "text":
        return transcript.text, TEXT
    if asked.response_format == "srt":
        return srt(transcript.finals), TEXT
    if asked.response_format == "vtt":
        return vtt(transcript.finals), VTT
    said = verbose(transcript, asked) if asked.response_format == "verbose_json" else plain(transcript, asked)
    return json.dumps(said, ensure_ascii=False), JSON


def plain(transcript: Transcript, asked: Request) -> dict[str, Any]:
    """`model` is ours: it names what ran."""
    said = {"text": transcript.text, "model": transcript.model, "usage": usage(transcript)}
    return {**said, "logprobs": logprobs(transcript.words)} if asked.logprobs else said


def verbose(transcript: Transcript, asked: Request) -> dict[str, Any]:
    """With segments, words or both. `language` is the model's code."""
    said: dict[str, Any] = {
        "task": "transcribe",
        "language": transcript.language,
        "duration": round(transcript.audio_s, 3),
        "text": transcript.text,
        "model": transcript.model,
        "usage": usage(transcript),
    }
    if asked.segments:
        spoken = [final for final in transcript.finals if final.text]
        said["segments"] = [_segment(number, final) for number, final in enumerate(spoken)]
    if asked.words:
        said["words"] = [{"word": word.text, "start": word.start_s, "end": word.end_s} for word in transcript.words]
    return said


def usage(transcript: Transcript) -> dict[str, Any]:
    """By duration: there are no tokens to count."""
    return {"type": "duration", "seconds": round(transcript.audio_s, 3)}


def logprobs(words: Iterable[Word], *, begins: bool = True) -> list[dict[str, Any]]:
    """A token is a word with the space before it, so that the tokens spell the text; `begins` says that none is due."""
    tokens = [f"{'' if begins and number == 0 else ' '}{word.text}" for number, word in enumerate(words)]
    return [
        {"token": token, "bytes": list(token.encode()), "logprob": logprob(word)}
        for token, word in zip(tokens, words, strict=True)
    ]


def logprob(word: Word) -> float:
    """Natural logarithm of the model's trust in a word."""
    return round(math.log(max(word.confidence, LEAST_CONFIDENCE)), 4)


def model_list(names: Sequence[str]) -> str:
    """The body of `GET /v1/models`."""
    return json.dumps({"object": "list", "data": [model_object(name) for name in names]})


def model_entry(name: str) -> str:
    """The body of `GET /v1/models/NAME`."""
    return json.dumps(model_object(name))


def model_object(name: str) -> dict[str, Any]:
    """An entry of the list."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "earloop"}


def _segment(number: int, final: Utterance) -> dict[str, Any]:
    heard = [logprob(word) for word in final.words]
    coded = final.text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": final.start_s,
        "end": final.end_s,
        "text": f" {final.text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(heard) / len(heard), 4) if heard else 0.0,
        "compression_ratio": round(len(coded) / len(zlib.compress(coded)), 4),
        "no_speech_prob": 0.0,
    }
