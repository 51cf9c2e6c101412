"""What is said between a protocol and a session, in both directions, whatever the wire looks like.

    codec ──── Open, Audio, Flush, Finish ────► session
    codec ◄─── Ready, SpeechStarted, Partial, SpeechStopped, Final, Heard, Behind, Failed, Finished ──── session

    codec ──── Resume ────► parked streams ──── Resumed ────► codec        (a new connection, in place of `Open`)

A session is told `Open` once, then `Audio` any number of times. `Flush` ends the current utterance and goes on;
`Finish` ends the last one and the session. Everything a session says comes in order; after `Finished` or `Failed`
comes nothing. Times are seconds of audio since the session's start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from stt_server.errors import EarloopError

Encoding = Literal["s16le", "f32le", "mulaw", "alaw"]
Coded = Literal["file", "opus"]
Reason = Literal["silence", "blank", "max_length", "noise", "flush", "finish"]


@dataclass(frozen=True, slots=True)
class AudioSpec:
    """How raw audio is coded: 8–48 kHz, channels interleaved and mixed to one."""

    encoding: Encoding = "s16le"
    sample_rate: int = 16000
    channels: int = 1


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When an utterance ends, in milliseconds; None: the server's setting. `enabled=False` ends only on request."""

    enabled: bool = True
    silence_ms: int | None = None
    min_utterance_ms: int | None = None
    max_utterance_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """What alone may be heard of an utterance: sentences in the notation of speech/decoder/notation.py, by line.

    `literal` lines are phrases in which no mark has a meaning, but that one may be `[unk]`. `repeats`: an utterance is
    any number of sentences, not one.
    """

    lines: tuple[str, ...]
    literal: bool = False
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """A stream's options. `model` None means the live one; `decoder` None means the model's own default.

    `boosts` are those of hotwords that have one of their own, and `hints` hotwords that somebody else's text named:
    one that cannot be spelled is left out. `lm` is one of the server's language models by name, `beam` how many
    prefixes are searched; None is the server's choice. `vocabulary` is one that is kept on the server, by name; it
    becomes hotwords or a grammar before a session opens. None is that of the caller's key, `none` none at all.

    `alternatives` is how many likely texts a `Final` has, 0 for none beside its own; `partial_words` asks for the words
    of a `Partial` with their times.

    `collect` False: nothing of it is kept, whatever its speaker agreed to. `device` is a label for what is kept.

    `live` streams go before uploads. `acknowledge` asks for a `Heard` after every `Audio`. A `resumable` stream waits
    for its client when the connection breaks, where its protocol has a word for that.

    `coded` audio is decoded while it arrives: `file` is anything with a header that says what it is, `opus` packets of
    that codec, one in each `Audio`. `apart`: each channel is heard by itself, and all events are `OfChannel`.
    """

    protocol: str
    audio: AudioSpec = AudioSpec()
    model: str | None = None
    language: str | None = None
    decoder: str | None = None
    hotwords: tuple[str, ...] = ()
    boosts: tuple[tuple[str, float], ...] = ()
    hints: tuple[str, ...] = ()
    grammar: Grammar | None = None
    lm: str | None = None
    beam: int | None = None
    vocabulary: str | None = None
    alternatives: int = 0
    partials: bool = True
    partial_words: bool = False
    live: bool = True
    acknowledge: bool = False
    endpointing: Endpointing = Endpointing()
    resumable: bool = False
    coded: Coded | None = None
    apart: bool = False
    collect: bool = True
    device: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a stream whose connection broke; `seq` is the number of the last message that arrived, 0 for none."""

    token: str
    seq: int


@dataclass(frozen=True, slots=True)
class Audio:
    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """End the current utterance now; its `Final` follows, with reason `flush`, even when empty.

    `channel` is the one that is meant of channels that are heard apart, None all.
    """

    channel: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """No more audio comes; the last `Final` (reason `finish`, even when empty) and `Finished` follow."""


Command = Open | Resume | Audio | Flush | Finish


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its times in seconds and the model's trust in it, 0–1."""

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Ready:
    """What runs: the model by name, and by name and version in one. Where the stream can be resumed, `resume` is the
    token for that and `resume_s` how long it waits.
    """

    session: str
    model: str
    language: str
    audio: AudioSpec
    resume: str | None = None
    resume_s: float = 0.0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The stream goes on. Of what the client had sent, so many bytes of audio and so many Flush and Finish have been
    taken; what the stream has said since message `seq` follows, where that is told to a client.
    """

    session: str
    received_bytes: int
    received_commands: int
    resume: str
    resume_s: float
    seq: int = 0


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    at_s: float


@dataclass(frozen=True, slots=True)
class Partial:
    """What is heard so far of utterance `utterance`; no later partial takes back the first `stable` characters.

    Nor does the final of `native` and `greedy`, but where a grammar finds that the utterance was no sentence. `words`
    only when asked for.
    """

    utterance: int
    text: str
    stable: int = 0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """What an utterance may have been. The score only ranks it: a natural logarithm, the higher the likelier."""

    text: str
    words: tuple[Word, ...]
    score: float


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance's last word. Empty text where sound ended without words.

    `greedy` is what was heard without a language model, where that is another text; it is for those who judge clips.
    `alternatives` begin with the text itself, the likeliest; none unless asked for. A decoder without a search has one.
    """

    utterance: int
    text: str
    words: tuple[Word, ...]
    start_s: float
    end_s: float
    reason: Reason
    greedy: str | None = None
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """All audio sent so far, `audio_s` seconds of it, has been worked through (only when asked for)."""

    audio_s: float


@dataclass(frozen=True, slots=True)
class Behind:
    """The server lags: `lag_ms` of audio wait."""

    lag_ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    error: EarloopError


@dataclass(frozen=True, slots=True)
class Finished:
    """`audio_s` seconds were heard in all by `model`."""

    audio_s: float
    model: str


@dataclass(frozen=True, slots=True)
class OfChannel:
    """What is said of one channel where each is heard by itself; a `Finished` of the whole stream comes after all."""

    channel: int
    event: Ready | SpeechStarted | SpeechStopped | Partial | Final | Heard | Behind | Finished


Event = (
    Ready | Resumed | SpeechStarted | SpeechStopped | Partial | Final | Heard | Behind | Failed | Finished | OfChannel
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """All finals of a finished session, as uploads answer with it. `version` is the model's name with its version."""

    model: str
    language: str
    audio_s: float
    finals: tuple[Final, ...] = field(default=())
    version: str = ""

    @property
    def text(self) -> str:
        return " ".join(final.text for final in self.finals if final.text)

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for final in self.finals for word in final.words)
