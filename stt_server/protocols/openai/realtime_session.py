"""What a Realtime transcription session is set to: read from updates, shown in the shapes of both generations.

| | GA | beta |
| --- | --- | --- |
| update | `session.update` | `transcription_session.update` |
| audio | `audio.input.format` `{"type": "audio/pcm", "rate": 24000}`, `audio/pcmu`, `audio/pcma` | `input_audio_format` `pcm16`, `g711_ulaw`, `g711_alaw` |
| what to hear | `audio.input.transcription` | `input_audio_transcription` |
| when to end | `audio.input.turn_detection` | `turn_detection` |
| noise | `audio.input.noise_reduction` | `input_audio_noise_reduction` |

Either shape is read in either message. What is left out stays as it was; null is the default, but for `turn_detection`,
where it means that only the client ends utterances. Source: openai/openai-openapi and types/realtime of openai-python.
"""  # noqa: E501

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadOption
from stt_server.messages import AudioSpec, Endpointing, Open
from stt_server.protocols.openai.chunking import PADDING_MS, SILENCE_MS
from stt_server.protocols.openai.request import check_keywords, listed_phrases
from stt_server.protocols.wishes import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

LOGPROBS: Final = "item.input_audio_transcription.logprobs"
RATES: Final = (8_000, 48_000)
PCM: Final = AudioSpec("s16le", 24_000, 1)
_TELEPHONY: Final = {"pcmu": AudioSpec("mulaw", 8_000, 1), "pcma": AudioSpec("alaw", 8_000, 1)}
_BETA_FORMATS: Final = {"pcm16": PCM, "g711_ulaw": _TELEPHONY["pcmu"], "g711_alaw": _TELEPHONY["pcma"]}
_DELAYS: Final = ("minimal", "low", "medium", "high", "xhigh")


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """`server_vad`. Padding and threshold are checked and shown, but change nothing: what lies before speech is heard
    in any case, and how readily sound is called speech is the server's setting.
    """

    silence_ms: int = 500
    padding_ms: int = 300
    threshold: float = 0.5

    def as_object(self) -> dict[str, Any]:
        return {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.padding_ms,
            "silence_duration_ms": self.silence_ms,
        }


@dataclass(frozen=True, slots=True)
class RealtimeSession:
    """All that a client may set. `model` is the name that was sent, whether or not it is one of ours."""

    audio: AudioSpec = PCM
    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    turns: TurnDetection | None = TurnDetection()
    logprobs: bool = False

    def options(self, protocol: str, models: Collection[str]) -> Open:
        """The stream that this session needs; a model that is none of `models` means the default, as elsewhere in
        OpenAI's interface, since its clients always name one.
        """
        turns = self.turns
        return Open(
            protocol,
            self.audio,
            model=self.model if self.model in models else None,
            language=self.language,
            hotwords=self.keywords,
            hints=listed_phrases(self.prompt or ""),
            partials=False,
            endpointing=Endpointing(silence_ms=turns.silence_ms) if turns else Endpointing(enabled=False),
        )

    def shown(self, ident: str, *, beta: bool) -> dict[str, Any]:
        """The session as `session.created` and `session.updated` show it. What has no effect here is shown as null."""
        include = [LOGPROBS] if self.logprobs else None
        turns = self.turns.as_object() if self.turns else None
        if beta:
            return {
                "id": ident,
                "object": "realtime.transcription_session",
                "input_audio_format": next(name for name, spec in _BETA_FORMATS.items() if _is_like(spec, self.audio)),
                "input_audio_transcription": self._transcription(),
                "turn_detection": turns,
                "input_audio_noise_reduction": None,
                "include": include,
            }
        sound = {"format": self._format(), "transcription": self._transcription(), "noise_reduction": None}
        return {
            "type": "transcription",
            "id": ident,
            "object": "realtime.transcription_session",
            "audio": {"input": {**sound, "turn_detection": turns}},
            "include": include,
        }

    def _format(self) -> dict[str, Any]:
        kind = next((name for name, spec in _TELEPHONY.items() if spec == self.audio), None)
        return {"type": f"audio/{kind}"} if kind else {"type": "audio/pcm", "rate": self.audio.sample_rate}

    def _transcription(self) -> dict[str, Any]:
        """Keywords only where some were sent: the beta has no such key."""
        said = {"model": self.model, "language": self.language, "prompt": self.prompt}
        return {**said, "keywords": list(self.keywords)} if self.keywords else said


def updated(session: RealtimeSession, given: object) -> RealtimeSession:
    """`session` with what an update says. Raises BadOption naming the key at fault, as `session.audio.input.format`."""
    said = _object(given, "session")
    for name, value in said.items():
        session = _taken(session, _KEYS, name, value, "session")
    return session


def _taken(session: RealtimeSession, keys: Mapping[str, Any], name: str, value: object, path: str) -> RealtimeSession:
    if name not in keys:
        raise BadOption(f"{path} has no {shown(name)} here; it has {', '.join(keys)}.", field=f"{path}.{name[:40]}")
    taken: RealtimeSession = keys[name](session, value, f"{path}.{name}")
    return taken


def _nested(keys: Mapping[str, Any]) -> Callable[[RealtimeSession, object, str], RealtimeSession]:
    def take(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
        for name, each in _object(value, path).items():
            session = _taken(session, keys, name, each, path)
        return session

    return take


def _passed(session: RealtimeSession, _value: object, _path: str) -> RealtimeSession:
    """For what has no effect; the shown session says so."""
    return session


def _type(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    if value != "transcription":
        raise BadOption(f"{path} must be transcription: nothing is spoken here, only heard.", field=path)
    return session


def _include(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    wanted = _texts(value, path)
    if set(wanted) - {LOGPROBS}:
        raise BadOption(f"{path} can be {LOGPROBS}, not {shown(wanted)}.", field=path)
    return replace(session, logprobs=bool(wanted))


def _format(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    """GA's object; the beta's word is taken here, too."""
    if isinstance(value, str):
        return _beta_format(session, value, path)
    if value is None:
        return replace(session, audio=PCM)
    said = _object(value, path)
    kind, rate = said.get("type", "audio/pcm"), said.get("rate", PCM.sample_rate)
    telephony = {f"audio/{name}": spec for name, spec in _TELEPHONY.items()}
    if isinstance(kind, str) and kind in telephony:
        return replace(session, audio=telephony[kind])
    if kind != "audio/pcm":
        raise BadOption(f"{path}.type must be audio/pcm, audio/pcmu or audio/pcma, not {shown(kind)}.", field=path)
    return replace(session, audio=AudioSpec("s16le", int(_number(rate, f"{path}.rate", *RATES)), 1))


def _beta_format(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    spec = PCM if value is None else _BETA_FORMATS.get(value) if isinstance(value, str) else None
    if spec is None:
        raise BadOption(f"{path} must be {', '.join(_BETA_FORMATS)}, not {shown(value)}.", field=path)
    return replace(session, audio=spec)


def _transcription(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    if value is None:  # off, where answers are spoken; here text is all there is
        return replace(session, model=None, language=None, prompt=None, keywords=())
    return _nested(_WISHES)(session, value, path)


def _keywords(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    words = tuple(word.strip() for word in _texts(value, path) if word.strip())
    check_keywords(words)
    return replace(session, keywords=words)


def _languages(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    codes = _texts(value, path)
    if len(codes) > 1:
        raise BadOption(f"{path} must be one language: a session is heard by one model.", field=path)
    return replace(session, language=codes[0]) if codes else session


def _delay(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    if value not in (None, *_DELAYS):
        raise BadOption(f"{path} must be one of {', '.join(_DELAYS)}, not {shown(value)}.", field=path)
    return session


def _turns(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
    if value is None:
        return replace(session, turns=None)
    said, turns = _object(value, path), session.turns or TurnDetection()
    if said.get("type", "server_vad") != "server_vad":
        raise BadOption(f"{path}.type must be server_vad, or turn_detection null.", field=f"{path}.type")
    for name in said:
        if name not in _TURNS:
            raise BadOption(
                f"{path} has no {shown(name)} here; it has {', '.join(_TURNS)}.", field=f"{path}.{name}"[:100]
            )
    numbers = {
        field: _number(said[name], f"{path}.{name}", low, high)
        for name, (field, low, high) in _NUMBERS.items()
        if said.get(name) is not None
    }
    changes: dict[str, Any] = {
        field: number if field == "threshold" else int(number) for field, number in numbers.items()
    }
    return replace(session, turns=replace(turns, **changes))


def _text(field: str) -> Callable[[RealtimeSession, object, str], RealtimeSession]:
    def take(session: RealtimeSession, value: object, path: str) -> RealtimeSession:
        if value is not None and not isinstance(value, str):
            raise BadOption(f"{path} must be a string, not {shown(value)}.", field=path)
        change: dict[str, Any] = {field: value or None}
        return replace(session, **change)

    return take


def _texts(value: object, path: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadOption(f"{path} must be an array of strings, not {shown(value)}.", field=path)
    return value


def _object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadOption(f"{path} must be an object, not {shown(value)}.", field=path)
    return value


def _number(value: object, path: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadOption(f"{path} must be a number from {low} to {high}, not {shown(value)}.", field=path)
    return value


def _is_like(spec: AudioSpec, other: AudioSpec) -> bool:
    """The beta has no rates to name."""
    return spec.encoding == other.encoding


_NUMBERS: Final = {
    "silence_duration_ms": ("silence_ms", *SILENCE_MS),
    "prefix_padding_ms": ("padding_ms", *PADDING_MS),
    "threshold": ("threshold", 0, 1),
}
_TURNS: Final = ("type", *_NUMBERS, "create_response", "interrupt_response")  # answers: there are none to make
_WISHES: Final = {
    "model": _text("model"),
    "language": _text("language"),
    "languages": _languages,
    "prompt": _text("prompt"),
    "keywords": _keywords,
    "delay": _delay,
}
_INPUT: Final = {
    "format": _format,
    "transcription": _transcription,
    "turn_detection": _turns,
    "noise_reduction": _passed,
}
_KEYS: Final = {
    "type": _type,
    "audio": _nested({"input": _nested(_INPUT)}),
    "include": _include,
    "input_audio_format": _beta_format,
    "input_audio_transcription": _transcription,
    "turn_detection": _turns,
    "input_audio_noise_reduction": _passed,
    "modalities": _passed,
}
