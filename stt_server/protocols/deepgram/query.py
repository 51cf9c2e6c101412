"""What the query of `/v1/listen` asks for, live and pre-recorded; README.md has the table of all parameters.

Three fates, and none is silence: a parameter is honoured; or it is passed over with a warning, because it only dresses
the text; or it is refused, because an answer without it would be taken for what it is not. One that is switched off, or
asks for what happens anyway, needs no warning. Every refusal is a BadOption that names the parameter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption
from stt_server.messages import AudioSpec, Coded, Encoding, Endpointing

if TYPE_CHECKING:
    from collections.abc import Iterable

RAW: Final[dict[str, Encoding]] = {"linear16": "s16le", "linear32": "f32le", "mulaw": "mulaw", "alaw": "alaw"}
CODED: Final[dict[str, Coded]] = {"": "file", "ogg-opus": "file", "flac": "file", "opus": "opus"}
NOT_HERE: Final = ("amr-nb", "amr-wb", "speex", "g729")
LEAST_PAUSE_MS: Final = 100  # the shortest silence that ends an utterance here
UTTERANCE_END_MS: Final = (1000, 5000)
MAX_CHANNELS: Final = 8
MAX_EXTRA: Final = 2048  # letters of all `extra` and `tag` together: they are sent back
UTT_SPLIT_S: Final = 0.8

DRESSING: Final = (  # what would change the look of the text only
    "dictation",
    "filler_words",
    "measurements",
    "numerals",
    "profanity_filter",
    "punctuate",
    "smart_format",
)
WITHOUT_EFFECT: Final = {
    "no_delay": "nothing is held back here anyway",
    "version": "there is one version of a model here",
}
RECORDED_ONLY: Final = ("paragraphs", "utt_split", "utterances")
LIVE_ONLY: Final = ("endpointing", "interim_results", "utterance_end_ms", "vad_events")
REFUSED: Final = {
    "alternatives": "one transcript is given",
    "callback": "the answer comes on the connection that asked; nothing is sent to other addresses",
    "custom_intent": "texts are not analysed",
    "custom_topic": "texts are not analysed",
    "detect_entities": "texts are not analysed",
    "detect_language": "the language is that of the model",
    "diarize": "speakers are not told apart; send each on a channel of its own and say multichannel=true",
    "diarize_model": "speakers are not told apart; send each on a channel of its own and say multichannel=true",
    "intents": "texts are not analysed",
    "redact": "nothing is taken out of the text",
    "replace": "nothing is replaced in the text",
    "search": "there is no search for sounds",
    "sentiment": "texts are not analysed",
    "summarize": "texts are not analysed",
    "topics": "texts are not analysed",
    "translate": "nothing is translated",
}
_HONOURED: Final = (
    "channels",
    "collect",
    "contributor",
    "device",
    "encoding",
    "extra",
    "keyterm",
    "keywords",
    "language",
    "mip_opt_out",
    "model",
    "multichannel",
    "sample_rate",
    "tag",
    "vocabulary",
    *RECORDED_ONLY,
    *LIVE_ONLY,
)
_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False}
_OFF: Final = ("", "false", "0")


@dataclass(frozen=True, slots=True)
class Warned:
    """A parameter that changed nothing, in the shape of Deepgram's `metadata.warnings`."""

    parameter: str
    message: str
    type: str = "unsupported_parameter"

    def as_json(self) -> dict[str, str]:
        return {"parameter": self.parameter, "type": self.type, "message": self.message}


@dataclass(frozen=True, slots=True)
class Asked:
    """The query. `audio` has channels and, where the audio is raw, the rest; `coded` is None for raw audio.

    `endpointing` None: utterances are cut, but no pause is told (`speech_final`).
    """

    audio: AudioSpec = field(default_factory=AudioSpec)
    coded: Coded | None = None
    encoding: str = ""
    multichannel: bool = False
    model: str = ""
    language: str | None = None
    hotwords: tuple[str, ...] = ()
    boosts: tuple[tuple[str, float], ...] = ()
    vocabulary: str | None = None
    interim_results: bool = False
    endpointing: Endpointing | None = field(default_factory=Endpointing)
    utterance_end_s: float | None = None
    vad_events: bool = False
    utterances: bool = False
    utt_split_s: float = UTT_SPLIT_S
    paragraphs: bool = False
    tags: tuple[str, ...] = ()
    extra: tuple[tuple[str, str], ...] = ()
    collect: bool = True
    device: str = ""
    warnings: tuple[Warned, ...] = ()


def parse_query(pairs: Iterable[tuple[str, str]], *, live: bool, models: frozenset[str] = frozenset()) -> Asked:
    """The query's pairs, without a key. `models` are those of this server. Raises BadOption."""
    query = _Query(pairs)
    query.refuse(REFUSED)
    query.pass_over(live=live)
    encoding = query.one("encoding").casefold()
    channels = query.whole("channels", 1, 1, MAX_CHANNELS)
    hotwords, boosts = _hotwords(query)
    endpointing = _endpointing(query) if live else Endpointing()
    interim = live and query.truth("interim_results")
    return Asked(
        audio=_audio(query, encoding, channels),
        coded=_coded(encoding),
        encoding=encoding,
        multichannel=query.truth("multichannel"),
        model=_model(query, models),
        language=query.one("language") or None,
        hotwords=hotwords,
        boosts=boosts,
        vocabulary=query.one("vocabulary") or None,
        interim_results=interim,
        endpointing=endpointing,
        utterance_end_s=_utterance_end(query, interim=interim) if live else None,
        vad_events=live and query.truth("vad_events"),
        utterances=not live and query.truth("utterances"),
        utt_split_s=UTT_SPLIT_S if live else _utt_split(query),
        paragraphs=not live and query.truth("paragraphs"),
        tags=query.all("tag"),
        extra=_extra(query),
        collect=not query.truth("mip_opt_out") and query.truth("collect", default=True),
        device=query.one("device")[:100],
        warnings=tuple(query.warnings),
    )


class _Query:
    """Values by name, and the warnings so far."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self.warnings: list[Warned] = []
        for name, value in pairs:
            self._values.setdefault(name, []).append(value.strip())

    def one(self, name: str) -> str:
        """The value, "" without any. Raises BadOption for two that differ."""
        values = set(self._values.get(name, ()))
        if len(values) > 1:
            raise BadOption(f"{name} is in the query with two values; say it once.", field=name)
        return values.pop() if values else ""

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self._values.get(name, ()) if value)

    def truth(self, name: str, *, default: bool = False) -> bool:
        said = self.one(name).casefold()
        if said and said not in _SWITCH:
            raise BadOption(f"{name} must be true or false, not {_shown(said)}.", field=name)
        return _SWITCH[said] if said else default

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        said = self.one(name)
        if not said:
            return default
        if not (said.isascii() and said.isdigit() and len(said) < 10 and least <= int(said) <= most):
            raise BadOption(f"{name} must be a whole number from {least} to {most}, not {_shown(said)}.", field=name)
        return int(said)

    def warn(self, name: str, message: str, kind: str = "unsupported_parameter") -> None:
        self.warnings.append(Warned(name, message, kind))

    def refuse(self, refused: dict[str, str]) -> None:
        """Raise BadOption for what is asked for and cannot be."""
        for name, why in refused.items():
            harmless = (*_OFF, "1") if name == "alternatives" else _OFF
            if any(value.casefold() not in harmless for value in self._values.get(name, ())):
                raise BadOption(f"{name} is not available here: {why}. Leave it out.", field=name)

    def pass_over(self, *, live: bool) -> None:
        """Warn of what is asked for and changes nothing."""
        elsewhere, where = (RECORDED_ONLY, "pre-recorded") if live else (LIVE_ONLY, "live")
        for name in self._values:
            if name in DRESSING:
                if self.truth(name):
                    self.warn(name, "The text comes as it was spoken: small letters, words for numbers, no marks.")
            elif name in WITHOUT_EFFECT:
                if self.one(name).casefold() not in (*_OFF, "latest"):
                    self.warn(name, f"Passed over: {WITHOUT_EFFECT[name]}.")
            elif name in elsewhere:
                if self.one(name).casefold() not in _OFF:
                    self.warn(name, f"This is for {where} audio only.")
            elif name not in _HONOURED and name not in REFUSED:
                self.warn(name[:60], "There is no such parameter here.")


def _coded(encoding: str) -> Coded | None:
    if encoding in RAW:
        return None
    if encoding in CODED:
        return CODED[encoding]
    known = ", ".join([*RAW, *filter(None, CODED)])
    why = "cannot be decoded here" if encoding in NOT_HERE else "is not known"
    what = f"encoding {_shown(encoding)} {why}; send {known}, or leave encoding out for audio with a header."
    raise BadOption(what, field="encoding")


def _audio(query: _Query, encoding: str, channels: int) -> AudioSpec:
    sample_rate = query.whole("sample_rate", 0, 8000, 48_000)
    if encoding not in RAW:
        return AudioSpec(channels=channels)
    if not sample_rate:
        raise BadOption(f"encoding={encoding} needs sample_rate: raw samples do not say theirs.", field="sample_rate")
    return AudioSpec(RAW[encoding], sample_rate, channels)


def _model(query: _Query, models: frozenset[str]) -> str:
    """The name where it is one of ours, else ""."""
    name = query.one("model")
    if not name or name in models:
        return name
    query.warn("model", f"There is no model {_shown(name)} here; model_info names what ran.", "unsupported_model")
    return ""


def _hotwords(query: _Query) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Phrases of `keyterm`, words of `keywords`, and the boosts of those as `word:boost`."""
    phrases, boosts = list(query.all("keyterm")), list[tuple[str, float]]()
    for each in query.all("keywords"):
        word, _, number = each.rpartition(":")
        boost = _number(number) if word else None
        if boost is None:
            phrases.append(each)
            continue
        if boost <= 0:
            what = f"keywords={_shown(each)}: words can be preferred, not avoided; boosts are above 0."
            raise BadOption(what, field="keywords")
        phrases.append(word)
        boosts.append((word, boost))
    return tuple(dict.fromkeys(phrases)), tuple(dict(boosts).items())


def _endpointing(query: _Query) -> Endpointing | None:
    said = query.one("endpointing").casefold()
    if said in {"", "true"}:
        return Endpointing()
    if said == "false":
        return None
    silence_ms = query.whole("endpointing", 0, 0, 10_000)
    if silence_ms < LEAST_PAUSE_MS:
        query.warn("endpointing", f"A pause of {LEAST_PAUSE_MS} ms is the shortest that ends an utterance here.")
    return Endpointing(silence_ms=max(silence_ms, LEAST_PAUSE_MS))


def _utterance_end(query: _Query, *, interim: bool) -> float | None:
    name = "utterance_end_ms"
    if query.one(name).casefold() in _OFF:
        return None
    gap_ms = query.whole(name, 0, *UTTERANCE_END_MS)
    if not interim:
        raise BadOption(f"{name} needs interim_results=true.", field=name)
    return gap_ms / 1000


def _utt_split(query: _Query) -> float:
    said = query.one("utt_split")
    if not said:
        return UTT_SPLIT_S
    value = _number(said)
    if value is None or not 0 < value <= 60:
        raise BadOption(f"utt_split must be seconds above 0, at most 60, not {_shown(said)}.", field="utt_split")
    return value


def _extra(query: _Query) -> tuple[tuple[str, str], ...]:
    said = query.all("extra")
    if sum(map(len, (*said, *query.all("tag")))) > MAX_EXTRA:
        raise BadOption(f"extra and tag are longer than {MAX_EXTRA} letters together.", field="extra")
    for each in said:
        if ":" not in each:
            raise BadOption(f"extra must be key:value, not {_shown(each)}.", field="extra")
    return tuple((key, value) for key, _, value in (each.partition(":") for each in said))


def _number(text: str) -> float | None:
    """A plain decimal number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e6 else None


def _shown(value: str) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:36]} …{text[-1]}"
