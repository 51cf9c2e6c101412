"""What the engine asks of a recognizer. `speech.Recognizer` is the real one; the tests have a toy that can misbehave.

A stream is opaque here: made by `open`, handed back in every call. A call that raises for one stream leaves the others
as they were, so that the engine may ask again for those alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.messages import Event, Open

Stream = Any  # only its recognizer looks inside; the engine reads `.audio_s`, the seconds accepted


class Recognizer(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def language(self) -> str: ...

    @property
    def takes_hotwords(self) -> bool: ...

    @property
    def takes(self) -> frozenset[str]:
        """What of hotwords, boosts, grammar and beam a stream may ask for that leaves the choice of decoder to us."""
        ...

    @property
    def letters(self) -> frozenset[str]:
        """Those it writes with."""
        ...

    def unknown(self, words: Iterable[str]) -> list[str]:
        """Those that its language model does not know."""
        ...

    @property
    def version(self) -> str:
        """The model's name with its version, for what is kept of what it heard."""
        ...

    @property
    def lm(self) -> str:
        """Which language model finals are decoded with unless a stream asks for another decoder; "" for none."""
        ...

    def open(self, options: Open) -> Stream: ...

    def accept(self, stream: Stream, data: bytes) -> None: ...

    def flush(self, stream: Stream) -> None: ...

    def finish(self, stream: Stream) -> None: ...

    def ready(self, stream: Stream) -> bool: ...

    def advance(self, streams: Sequence[Stream]) -> None: ...

    def take(self, stream: Stream) -> list[Event]: ...


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a recognizer says of itself, for those who must not keep it: it is freed with its last stream."""

    name: str
    language: str
    takes_hotwords: bool
    version: str
    lm: str

    @classmethod
    def of(cls, recognizer: Recognizer) -> Self:
        return cls(recognizer.name, recognizer.language, recognizer.takes_hotwords, recognizer.version, recognizer.lm)
