"""The protocols of kaldi-gstreamer-server (alumae/kaldi-gstreamer-server): a WebSocket, and a plain request.

    WS   /client/ws/speech?content-type=audio/x-raw,+rate=(int)16000,…     ► audio …, "EOS"
         ◄ {"status": 0, "segment": 0, "result": {"hypotheses": [{"transcript"}], "final": false}, "id"} …, then closed
    POST, PUT /client/dynamic/recognize
         ◄ {"status": 0, "hypotheses": [{"utterance"}], "id"}

| `status` | here |
| --- | --- |
| 0 | success |
| 1 | no speech: nothing was sent for too long |
| 2 | aborted: our fault, too much audio, or one that came too slowly |
| 5 | not allowed: audio or options that cannot be |
| 7 | a hotword or grammar that cannot be heard |
| 8 | a language the model does not speak |
| 9 | not available: full, shutting down, or a key that has used up what it may |

A status other than 0 is the last thing that is said. Sources: its README.md, worker.py, master_server.py, client.py.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import (
    BadInput,
    BadOption,
    Busy,
    EarloopError,
    Forbidden,
    Idle,
    Internal,
    LimitReached,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from stt_server.messages import Audio, AudioSpec, Command, Event, Finish, Flush, Open, Partial
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stt_server.messages import Coded, Encoding, Transcript

EOS: Final = "EOS"
MAX_DEVICE: Final = 100  # letters
_RAW: Final = re.compile(r"audio/x-(raw|raw-int|raw-float|mulaw|alaw)\b")
_FORMATS: Final[Mapping[str, Encoding]] = {"S16LE": "s16le", "F32LE": "f32le"}
_LAWS: Final[Mapping[str, Encoding]] = {"mulaw": "mulaw", "alaw": "alaw"}
_HEADS: Final = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\x1aE\xdf\xa3")  # wav, flac, ogg, mp3 with a tag, webm
_STATUS: Final[tuple[tuple[type[EarloopError], int], ...]] = (
    (Busy, 9),
    (Unavailable, 9),
    (LimitReached, 9),
    (Unauthorized, 5),
    (Forbidden, 5),
    (Idle, 1),
    (TimedOut, 2),
    (TooLarge, 2),
    (Internal, 2),
    (BadInput, 5),
)
_FIELDS: Final = {"language": 8, "grammar": 7, "hotwords": 7}


class KaldiCodec:
    """One connection; `ident` is in all that it is told. `query` may have `content-type` and `user-id`."""

    name = "kaldi"
    terms = Terms()
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self, ident: str, query: Mapping[str, str]) -> None:
        """Raises BadOption for raw audio that cannot be."""
        self._ident = ident
        self._caps = query.get("content-type", "").strip()
        self._spec = raw_spec(self._caps)
        self._device = query.get("user-id", "")[:MAX_DEVICE]
        self._opened = self._finished = False
        self._segment = 0
        self._shown = ""

    def connected(self) -> list[Command | Reply]:
        return []

    def receive(self, message: Message) -> list[Command | Reply]:
        """Audio, EOS, or JSON that would adapt the original's model to a speaker, and changes nothing here."""
        if message in (EOS, EOS.encode()):
            return self._when_open(Finish(), b"")
        if isinstance(message, bytes):
            return self._when_open(Audio(message), message) if message else []
        if not isinstance(parse_object(message).get("adaptation_state"), dict):
            raise BadInput('Text must be "EOS" or an "adaptation_state" object; audio goes in binary messages.')
        return []

    def send(self, event: Event) -> list[Message]:
        match event:
            case Partial(text=text) if text:
                self._shown = text
                return [self._result([{"transcript": text}], final=False)]
            case Utterance() if event.text or self._shown:
                return [self._final(event)]
        return []

    def render_error(self, error: EarloopError) -> list[Message]:
        return [self._said(status_of(error), message=error.message)]

    def _final(self, final: Utterance) -> str:
        hypothesis: dict[str, Any] = {"transcript": final.text}
        if final.words:
            hypothesis["confidence"] = round(sum(word.confidence for word in final.words) / len(final.words), 4)
            hypothesis["word-alignment"] = [
                {
                    "word": word.text,
                    "start": round(word.start_s - final.start_s, 3),
                    "length": round(word.end_s - word.start_s, 3),
                    "confidence": word.confidence,
                }
                for word in final.words
            ]
        times = {
            "segment-start": final.start_s,
            "segment-length": round(final.end_s - final.start_s, 3),
            "total-length": final.end_s,
        }
        said = self._result([hypothesis], final=True, **times)
        self._segment, self._shown = self._segment + 1, ""
        return said

    def _result(self, hypotheses: list[dict[str, Any]], *, final: bool, **more: float) -> str:
        result = {"hypotheses": hypotheses, "final": final}
        return self._said(0, segment=self._segment, result=result, **more)

    def _said(self, status: int, **fields: object) -> str:
        return json.dumps({"status": status, **fields, "id": self._ident}, ensure_ascii=False)

    def _when_open(self, command: Audio | Flush | Finish, head: bytes) -> list[Command | Reply]:
        if self._finished:
            return []  # the original takes no more, and says nothing of it
        self._finished = isinstance(command, Finish)
        if self._opened:
            return [command]
        self._opened = True
        coded: Coded | None = None if self._spec or not _is_file(head, self._caps) else "file"
        return [Open(self.name, self._spec or AudioSpec(), coded=coded, device=self._device), command]


def raw_spec(content_type: str) -> AudioSpec | None:
    """Raw audio as GStreamer's caps or a MIME type say it; None where they say none. Raises BadOption.

    `audio/x-raw, layout=(string)interleaved, rate=(int)44100, format=(string)S16LE, channels=(int)1`
    """
    kind, *parameters = (part.strip() for part in re.split("[,;]", content_type))
    match = _RAW.match(kind.casefold())
    if match is None:
        return None
    said = {name.strip(): re.sub(r"^\([a-z]+\)", "", value.strip()) for name, _, value in map(_pair, parameters)}
    form = said.get("format", "F32LE" if match[1] == "raw-float" else "S16LE").upper()
    encoding = _LAWS.get(match[1]) or _FORMATS.get(form)
    if encoding is None:
        raise BadOption(f"format must be {' or '.join(_FORMATS)}, not {form[:20]!r}.", field="content-type")
    rate = "8000" if match[1] in _LAWS else "16000"
    return AudioSpec(encoding, _whole(said.get("rate", rate), "rate"), _whole(said.get("channels", "1"), "channels"))


def recognized(transcript: Transcript, ident: str) -> str:
    """The body of `/client/dynamic/recognize`."""
    return json.dumps({"status": 0, "hypotheses": [{"utterance": transcript.text}], "id": ident}, ensure_ascii=False)


def refusal(error: EarloopError, ident: str) -> str:
    """The body of its error."""
    return json.dumps({"status": status_of(error), "message": error.message, "id": ident}, ensure_ascii=False)


def server_status(available: int, processed: int) -> str:
    """What `/client/ws/status` says at once, and whenever it has changed."""
    return json.dumps({"num_workers_available": available, "num_requests_processed": processed})


def status_of(error: EarloopError) -> int:
    """The number that stands for an error."""
    if isinstance(error, BadOption) and error.field in _FIELDS:
        return _FIELDS[error.field]
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 5)


def _is_file(head: bytes, content_type: str) -> bool:
    """Whether the stream begins as a file does, or was said to be one; else it is 16 kHz, as the original assumes."""
    return head.startswith(_HEADS) or content_type.casefold().startswith(("audio/", "video/"))


def _pair(parameter: str) -> tuple[str, str, str]:
    return parameter.partition("=")


def _whole(value: str, name: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 7):
        raise BadOption(f"{name} in content-type must be a whole number, not {value[:20]!r}.", field="content-type")
    return int(value)
