"""What a client says of one request: how its audio is coded, and what `transcribe` wishes.

| `transcribe` | becomes |
| --- | --- |
| `name` | the model by name |
| `language` | the model of that language where there is one; the transcript says which language was heard |
| `vad_sensitivity` | the silence that ends the command, as long as Home Assistant's own detector waits |
| `transcript_names`, `transcript_terms` | hotwords, names first; words that the model cannot spell are left out |
| `context` | nothing: no request knows of another |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Self

from stt_server.errors import BadOption, Unsupported
from stt_server.messages import AudioSpec, Endpointing, Open
from stt_server.protocols.wishes import MAX_HOTWORDS, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_HINT_LETTERS: Final = 20_000  # of all hints together: what one stream may ask of the search
SILENCE_MS: Final = {"default": None, "relaxed": 1250, "aggressive": 250}  # None: as the server is set
_WIDTHS: Final = (2, 3, 4)


@dataclass(frozen=True, slots=True)
class Format:
    """Signed little-endian integers of `width` bytes, channels interleaved."""

    rate: int = 16_000
    width: int = 2
    channels: int = 1

    def with_data(self, data: Mapping[str, Any]) -> Self:
        """The format that an event states, by this one where it states nothing. Raises BadOption, Unsupported."""
        stated = {
            name: _whole(name, data[name]) for name in ("rate", "width", "channels") if data.get(name) is not None
        }
        if stated.get("width", 2) not in _WIDTHS:
            raise Unsupported(f"Samples are of 2, 3 or 4 bytes, not of {shown(stated['width'])}.", field="width")
        return replace(self, **stated)

    @property
    def spec(self) -> AudioSpec:
        """The same once `Narrowing` has gone over it."""
        return AudioSpec("s16le", self.rate, self.channels)


class Narrowing:
    """Samples of any width to those of 2 bytes, wherever the chunks are cut: the highest two bytes of each."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rest = b""

    def narrow(self, samples: bytes) -> bytes:
        """The same audio as 16-bit samples."""
        if self._width == 2:
            return samples
        samples = self._rest + samples
        whole = len(samples) - len(samples) % self._width
        samples, self._rest = samples[:whole], samples[whole:]
        narrow = bytearray(2 * whole // self._width)
        narrow[0::2], narrow[1::2] = samples[self._width - 2 :: self._width], samples[self._width - 1 :: self._width]
        return bytes(narrow)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `transcribe` said. `left_out` hints were beyond what a stream may have."""

    model: str | None = None
    language: str | None = None
    sensitivity: str | None = None
    hints: tuple[str, ...] = ()
    left_out: int = field(default=0, compare=False)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Raises BadOption for what cannot be."""
        sensitivity = _text(data, "vad_sensitivity")
        if sensitivity is not None and sensitivity not in SILENCE_MS:
            known = ", ".join(SILENCE_MS)
            raise BadOption(f"vad_sensitivity is one of {known}, not {shown(sensitivity)}.", field="vad_sensitivity")
        asked = list(dict.fromkeys([*_texts(data, "transcript_names"), *_texts(data, "transcript_terms")]))
        hints = tuple(_as_many_as_fit(asked))
        return cls(_text(data, "name"), _text(data, "language"), sensitivity, hints, len(asked) - len(hints))

    def options(self, audio: Format, *, early: bool) -> Open:
        """The stream to open. `collect` is off: nobody who speaks here has said who he is, or agreed to anything."""
        return Open(
            "wyoming",
            audio.spec,
            model=self.model,
            language=self.language,
            hints=self.hints,
            partials=False,
            acknowledge=early,
            endpointing=Endpointing(silence_ms=SILENCE_MS[self.sensitivity or "default"]),
            collect=False,
        )


def _as_many_as_fit(phrases: list[str]) -> Iterator[str]:
    letters = 0
    for phrase in phrases[:MAX_HOTWORDS]:
        letters += len(phrase)
        if letters > MAX_HINT_LETTERS:
            return
        yield phrase


def _text(data: Mapping[str, Any], name: str) -> str | None:
    """Empty is not said."""
    value = data.get(name)
    if value is not None and not isinstance(value, str):
        raise BadOption(f"{name} must be text, not {shown(value)}.", field=name)
    return value or None


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    value = data.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadOption(f"{name} must be an array of texts, not {shown(value)}.", field=name)
    return value


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1_000_000:
        raise BadOption(f"{name} must be a whole number above 0, not {shown(value)}.", field=name)
    return value
