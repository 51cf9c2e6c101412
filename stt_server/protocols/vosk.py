"""The protocol of vosk-server (alphacep/vosk-server, websocket/asr_server.py; results as vosk-api's recognizer prints).

    {"config": {"sample_rate": 16000, …}}    kept for the opening, no reply
    binary, 16-bit mono                      exactly one reply each: the final that came since, else the partial
    {"eof" : 1}                              one final, then the connection closes
    {"reset" : 1}                            one final, the connection stays

Clients send a frame and wait for its answer, so a frame with nothing to say is answered too, and a frame that ended two
utterances gets both in one final. There are no error messages: a fault is a close frame with a reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, BadOption, EarloopError
from stt_server.messages import (
    Alternative,
    Audio,
    AudioSpec,
    Command,
    Event,
    Finish,
    Finished,
    Flush,
    Grammar,
    Heard,
    Open,
    Partial,
)
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, close_code, close_reason, parse_object
from stt_server.protocols.vosk_json import alternatives_result, final_result, partial_result

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_RATE: Final = 8000
MAX_ALTERNATIVES: Final = 100  # clients ask for 3 to 10; the search keeps no thousand worth a line
MAX_DEVICE: Final = 100  # letters


@dataclass(frozen=True, slots=True)
class VoskConfig:
    """What `config` messages have said so far. Words are on unless switched off, as in the stock server."""

    sample_rate: int = DEFAULT_RATE
    words: bool = True
    partial_words: bool = False
    max_alternatives: int = 0
    grammar: Grammar | None = None
    collect: bool = True  # ours: whether what is said may be kept, if its speaker agreed
    device: str = ""  # ours, too
    vocabulary: str | None = None  # and this: one that is kept on the server, by name


class VoskCodec:
    """One connection."""

    name = "vosk"
    terms = Terms()
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self) -> None:
        self._config = VoskConfig()
        self._opened = False
        self._finished = False
        self._partial = Partial(0, "")
        self._finals: list[Utterance] = []

    def connected(self) -> list[Command | Reply]:
        return []

    def receive(self, message: Message) -> list[Command | Reply]:
        if isinstance(message, bytes):
            # An odd last byte is dropped, as the original does (`len / 2`): carried over it would shift what follows.
            return self._when_open(Audio(message[: len(message) & ~1]))
        said = parse_object(message)
        if "config" in said:
            self._configure(said["config"])
            return []
        if said.get("eof"):
            return self._when_open(Finish())
        if said.get("reset"):
            return self._when_open(Flush())
        raise BadInput('Text must be a "config", "eof" or "reset" object; audio goes in binary messages.')

    def send(self, event: Event) -> list[Message]:
        match event:
            case Partial():
                self._partial = event
            case Utterance():
                self._partial = Partial(event.utterance + 1, "")
                self._finals.append(event)
                if event.reason == "flush":
                    return [self._final()]
            case Heard():
                return [self._final() if self._finals else partial_result(self._partial.text, self._partial.words)]
            case Finished():
                return [self._final()]
        return []

    def render_error(self, error: EarloopError) -> list[Message]:  # noqa: ARG002 - the protocol has no such message
        return []

    def _configure(self, given: object) -> None:
        """Take a config in. Once the stream is open it changes nothing, as in the original, but must still be one."""
        config = merged(self._config, given)
        if not self._opened:
            self._config = config

    def _when_open(self, command: Audio | Flush | Finish) -> list[Command | Reply]:
        if self._finished:
            return []  # the original has left by now; what was already on its way is nobody's
        self._finished = isinstance(command, Finish)
        if self._opened:
            return [command]
        self._opened = True
        audio = AudioSpec("s16le", self._config.sample_rate, 1)
        config = self._config
        options = Open(
            self.name,
            audio,
            grammar=config.grammar,
            vocabulary=config.vocabulary,
            alternatives=min(config.max_alternatives, MAX_ALTERNATIVES),
            partial_words=config.partial_words,
            acknowledge=True,
            collect=config.collect,
            device=config.device,
        )
        return [options, command]

    def _final(self) -> str:
        """All finals that have come since the last reply, as one."""
        finals, self._finals = self._finals, []
        if self._config.max_alternatives:
            return alternatives_result(together(finals), words_on=self._config.words)
        text = " ".join(final.text for final in finals if final.text)
        words = tuple(word for final in finals for word in final.words)
        return final_result(text, words if self._config.words else ())


def together(finals: Sequence[Utterance]) -> tuple[Alternative, ...]:
    """What several utterances may have been: the last one's alternatives behind what the others were."""
    spoken = [final for final in finals if final.text]
    if not spoken:
        return ()
    last = spoken.pop()
    before = [final.text for final in spoken]
    words = tuple(word for final in spoken for word in final.words)
    likely = last.alternatives or (Alternative(last.text, last.words, 0.0),)
    return tuple(replace(each, text=" ".join([*before, each.text]), words=words + each.words) for each in likely)


def merged(config: VoskConfig, given: object) -> VoskConfig:
    """`config` with what a message says. Unknown keys and `model`, a path on another machine, are passed over.

    Raises BadOption naming the key whose value cannot be.
    """
    if not isinstance(given, dict):
        raise BadOption("config must be an object.", field="config")
    changes: dict[str, Any] = {}
    if "sample_rate" in given:
        changes["sample_rate"] = _whole("sample_rate", given["sample_rate"])
    if "max_alternatives" in given:
        changes["max_alternatives"] = _whole("max_alternatives", given["max_alternatives"])
    if "words" in given:
        changes["words"] = bool(given["words"])
    if "partial_words" in given:  # no stock server has it; the library calls it SetPartialWords
        changes["partial_words"] = bool(given["partial_words"])
    if "phrase_list" in given:
        changes["grammar"] = _grammar(given["phrase_list"])
    if "collect" in given:
        changes["collect"] = given["collect"] is True  # anything but a plain yes keeps nothing
    if "device" in given:
        changes["device"] = str(given["device"])[:MAX_DEVICE]
    if "vocabulary" in given:
        changes["vocabulary"] = _name("vocabulary", given["vocabulary"])
    return replace(config, **changes)


def _name(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadOption(f"config.{name} must be text, not {ascii(value)[:40]}.", field=f"config.{name}")
    return value or None


def _whole(name: str, value: object) -> int:
    """A number as clients write it: 16000, 16000.000000 (the vosk command line) or either in quotes."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not 0 <= number < 1e9 or number != int(number):
        raise BadOption(f"config.{name} must be a whole number, not {ascii(value)[:40]}.", field=f"config.{name}")
    return int(number)


def _grammar(value: object) -> Grammar | None:
    """The phrases that alone may be heard, any number of them in an utterance; `[unk]` among them lets others be
    heard, as `[unk]`. An empty list is none, as with the original.
    """
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(phrase, str) for phrase in value):
        raise BadOption("config.phrase_list must be an array of strings.", field="config.phrase_list")
    return Grammar(tuple(value), literal=True, repeats=True)
