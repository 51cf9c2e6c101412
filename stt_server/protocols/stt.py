"""`/stt`, one path for kinds of client that disagree, as pure functions.

| client | body | says |
| --- | --- | --- |
| Mycroft `deepspeech_server` | wav | nothing |
| Mycroft `deepspeech_stream_server` | raw PCM while it is spoken | `?format=16K_PCM16` |
| OVOS `ovos-stt-plugin-server` | wav | `Content-Type: audio/wav`, `?lang=en-US` |
| MainRo/deepspeech-server's own | wav | nothing |
| Rhasspy 2.5, at `/api/speech-to-text` | wav, or raw with `?noheader=true` | `Accept: application/json`, `?siteId=` |

What the body is, its first bytes say: Mycroft labels wav as audio/x-flac. A Mycroft client takes whatever text comes
back, with any status, for what was said and acts on it; so an error has an empty body and its reason in a header. Only
a client that asks for JSON (`Accept: application/json`, as Rhasspy does) gets errors, and answers, in JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption, EarloopError, Unsupported
from stt_server.messages import AudioSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stt_server.messages import Encoding, Transcript

# With a charset: `requests` would read text/* without one as ISO-8859-1.
TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json; charset=utf-8"
ERROR_HEADER: Final = "X-Earloop-Error"
HEAD_BYTES: Final = 64

_FORMAT: Final = re.compile(r"(\d{1,3})K_PCM(16)", re.IGNORECASE)  # MainRo/deepspeech-server, JPEWdev/deep-dregs
_RAW_TYPE: Final = re.compile(r"audio/x-raw(-int)?\b")  # alumae/kaldi-gstreamer-server
_WIDTHS: Final[Mapping[str, Encoding]] = {"2": "s16le"}


def raw_spec(container: str, head: bytes, query: Mapping[str, str], content_type: str) -> AudioSpec | None:
    """How to read a body as raw audio, or None when it is a file. `container` is what its first bytes look like.

    Raises BadOption for a `format`, `sample_rate`, `sample_width` or `rate` that cannot be.
    """
    named = query.get("format", "")
    bare = query.get("noheader", "").casefold() == "true"  # Rhasspy 2.5
    stated_raw = bare or bool(
        _FORMAT.fullmatch(named) or "sample_rate" in query or _RAW_TYPE.match(content_type.casefold())
    )
    if container and not _may_be_samples(container, head, stated_raw=stated_raw):
        return None
    if named.casefold() in {"wav", "flac", "ogg", "opus", "mp3"}:
        return None  # which the decoder will find it is not, and say so
    width = query.get("sample_width", "2")
    if width not in _WIDTHS:
        raise BadOption("sample_width must be 2, bytes of a 16-bit sample.", field="sample_width")
    return AudioSpec(_WIDTHS[width], _raw_rate(named, query, content_type), 1)


def wants_json(accept: str) -> bool:
    """Whether a client asked for JSON by name; `*/*`, which `requests` always sends, asks for nothing."""
    return any(part.partition(";")[0].strip().casefold() == "application/json" for part in accept.split(","))


def answer(transcript: Transcript, *, as_json: bool, took_s: float) -> tuple[str, str]:
    """Body and content type. Silence is an empty text. `likelihood` and the seconds are what Rhasspy 2.5 reads."""
    if not as_json:
        return transcript.text, TEXT
    confidences = [word.confidence for word in transcript.words]
    said = {
        "text": transcript.text,
        "likelihood": round(sum(confidences) / len(confidences), 4) if confidences else 0.0,
        "transcribe_seconds": round(took_s, 3),
        "wav_seconds": round(transcript.audio_s, 3),
        "model": transcript.model,
    }
    return json.dumps(said, ensure_ascii=False), JSON


def refusal(error: EarloopError, *, as_json: bool) -> tuple[str, str, dict[str, str]]:
    """Body, content type and headers of an error."""
    headers = {ERROR_HEADER: header_text(f"{error.code}: {error.message}")}
    if not as_json:
        return "", TEXT, headers
    return json.dumps({"error": {"code": error.code, "message": error.message, "field": error.field}}), JSON, headers


def header_text(text: str) -> str:
    """A sentence as an HTTP header can carry it: one line of printable ASCII."""
    line = " ".join(text.split()).encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:500]


def _may_be_samples(container: str, head: bytes, *, stated_raw: bool) -> bool:
    """Whether what looks like an MPEG frame could as well be raw audio.

    The sync bits of a frame are the 16-bit sample -1 and its like, which quiet audio is full of. Where nobody said raw,
    layer III frames of a stated bit rate are believed: as samples they would be a thousand and more below zero.
    """
    if container not in {"mp3", "aac"} or head.startswith(b"ID3"):
        return False
    layer_3_of_a_rate = head[1] >> 1 & 3 == 1 and head[2] >> 4 != 0
    return stated_raw or not layer_3_of_a_rate


def _raw_rate(named: str, query: Mapping[str, str], content_type: str) -> int:
    if named:
        match = _FORMAT.fullmatch(named)
        if match is None:
            raise Unsupported(f"No format {named[:40]!r}; send a wav or flac file, or 16K_PCM16.", field="format")
        return int(match[1]) * 1000
    field = "sample_rate" if "sample_rate" in query else "rate"
    stated = query.get("sample_rate") or _type_parameter(content_type, "rate") or "16000"
    if not (stated.isascii() and stated.isdigit() and len(stated) < 7):
        raise BadOption(f"{field} must be a whole number of Hz, not {stated[:20]!r}.", field=field)
    return int(stated)


def _type_parameter(content_type: str, name: str) -> str:
    """`rate` of `audio/x-raw-int; rate=16000; channels=1`, for raw types only."""
    kind, *parameters = (part.strip() for part in content_type.casefold().split(";"))
    if not _RAW_TYPE.match(kind):
        return ""
    return next((value.strip() for key, _, value in (item.partition("=") for item in parameters) if key == name), "")
