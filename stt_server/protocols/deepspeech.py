"""Two WebSocket servers of the DeepSpeech and Coqui families, which share nothing but that.

    /recognize     daanzu/deepspeech-websocket-server: 16 kHz samples, 16 bit, mono, then "EOS"; the text comes back as
                   plain text, and the connection is ready for the next utterance
    /api/v1/stt    coqui-ai/STT-examples, python_websocket_server: one message with a whole file; one JSON object comes
                   back, {"text", "time"}, and the connection is closed. That one is an upload: see web/deepspeech.py

Neither has error messages for audio: `/recognize` says why in the close frame, `/api/v1/stt` {"error": "…"}.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput, EarloopError
from stt_server.messages import Audio, Command, Event, Flush, Open
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason

if TYPE_CHECKING:
    from stt_server.messages import Transcript

EOS: Final = "EOS"
IDLE_S: Final = 300.0  # its clients keep the connection between utterances


class DeepspeechCodec:
    """One connection at `/recognize`. An utterance is what lies between two EOS, however many pauses it has."""

    name = "deepspeech"
    terms = Terms(idle_s=IDLE_S)
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self) -> None:
        self._opened = False
        self._texts: list[str] = []  # of the utterance

    def connected(self) -> list[Command | Reply]:
        return []

    def receive(self, message: Message) -> list[Command | Reply]:
        if isinstance(message, bytes):
            # As with vosk: an odd last byte is dropped, for carried over it would shift what follows.
            return self._when_open(Audio(message[: len(message) & ~1]))
        if message != EOS:
            raise BadInput('Text must be "EOS"; audio goes in binary messages.')
        return self._when_open(Flush())

    def send(self, event: Event) -> list[Message]:
        if not isinstance(event, Utterance):
            return []
        self._texts += [event.text] if event.text else []
        if event.reason not in ("flush", "finish"):
            return []
        text, self._texts = " ".join(self._texts), []
        return [text] if event.reason == "flush" or text else []

    def render_error(self, error: EarloopError) -> list[Message]:  # noqa: ARG002 - the protocol has no such message
        return []

    def _when_open(self, command: Audio | Flush) -> list[Command | Reply]:
        if self._opened:
            return [command]
        self._opened = True
        return [Open(self.name, partials=False), command]


def whole_file(transcript: Transcript, took_s: float) -> str:
    """The answer of `/api/v1/stt`; `time` is how long it took."""
    return json.dumps({"text": transcript.text, "time": round(took_s, 3)}, ensure_ascii=False)


def failed(error: EarloopError) -> str:
    """Its error."""
    return json.dumps({"error": error.message}, ensure_ascii=False)
