"""The protocol of sherpa-onnx's streaming server (k2-fsa/sherpa-onnx, online-websocket-server), at a path of its own.

    ► binary: 32-bit floats, little-endian, 16 kHz, mono
    ► "Done"
    ◄ {"text", "tokens", "timestamps", …, "segment", "start_time", "is_final", "is_eof"}   whenever more is heard
    ◄ "Done!"

A result holds the text of its segment so far; behind one that `is_final`, the next segment begins. A token is a word
with the space before it, its timestamp in seconds from the segment's start. The original stays until the client closes;
we close behind "Done!", on which its clients stop reading.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from stt_server.messages import Audio, AudioSpec, Command, Event, Finish, Finished, Open, Partial, Ready, SpeechStarted
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason

if TYPE_CHECKING:
    from stt_server.errors import EarloopError
    from stt_server.messages import Word

DONE: Final = "Done"
GOODBYE: Final = "Done!"
RATE: Final = 16_000


class SherpaCodec:
    """One connection. Text other than "Done" is passed over, as by the original."""

    name = "sherpa"
    terms = Terms()
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self) -> None:
        self._opened = self._finished = False
        self._segment = 0
        self._start_s = 0.0  # of the segment
        self._shown = False

    def connected(self) -> list[Command | Reply]:
        return []

    def receive(self, message: Message) -> list[Command | Reply]:
        if self._finished or not (isinstance(message, bytes) or message == DONE):
            return []
        command = Audio(message) if isinstance(message, bytes) else Finish()
        self._finished = isinstance(command, Finish)
        if self._opened:
            return [command]
        self._opened = True
        return [Open(self.name, AudioSpec("f32le", RATE, 1), partial_words=True), command]

    def send(self, event: Event) -> list[Message]:
        match event:
            case Ready():
                self._start_s = 0.0
            case SpeechStarted(at_s):
                self._start_s = self._start_s if self._shown else at_s
            case Partial(text=text, words=words) if text or self._shown:
                self._shown = True
                return [self._result(text, words, is_final=False)]
            case Utterance() if event.text or self._shown or event.reason == "finish":
                return [self._final(event)]
            case Finished():
                return [GOODBYE]
        return []

    def render_error(self, error: EarloopError) -> list[Message]:  # noqa: ARG002 - the protocol has no such message
        return []

    def _final(self, final: Utterance) -> str:
        if not self._shown:
            self._start_s = final.start_s
        said = self._result(final.text, final.words, is_final=True, is_eof=final.reason == "finish")
        self._segment, self._shown, self._start_s = self._segment + 1, False, final.end_s
        return said

    def _result(self, text: str, words: tuple[Word, ...], *, is_final: bool, is_eof: bool = False) -> str:
        said = {
            "text": text,
            "tokens": [f" {word.text}" for word in words],
            "timestamps": [round(max(0.0, word.start_s - self._start_s), 3) for word in words],
            "ys_probs": [],
            "lm_probs": [],
            "context_scores": [],
            "segment": self._segment,
            "words": [],
            "start_time": round(self._start_s, 3),
            "is_final": is_final,
            "is_eof": is_eof,
        }
        return json.dumps(said, ensure_ascii=False)
