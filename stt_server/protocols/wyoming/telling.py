"""How one answer is told: the transcript as it becomes known, then whole.

    transcript-start, transcript-chunk "turn on", transcript-chunk " the light", transcript "turn on the light",
    transcript-stop

Chunks are appended by who reads them and never taken back, and an utterance's final is heard again with the language
model, which may correct any of its words: so a chunk is an utterance. Who knows no chunks reads the transcript alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.protocols.wyoming.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence


class Telling:
    """Of one request. `language` is the one that is heard, "" where nothing was."""

    def __init__(self, language: str = "") -> None:
        self._language = {"language": language} if language else {}
        self._started = False
        self._told = 0  # texts, each a chunk

    def news(self, texts: Sequence[str]) -> list[bytes]:
        """What has become known since, where `texts` is all that is known."""
        new = list(enumerate(texts))[self._told :]
        self._told = len(texts)
        chunks = [framed("transcript-chunk", text=f" {text}" if number else text) for number, text in new]
        return [*self._start(), *chunks] if chunks else []

    def whole(self, texts: Sequence[str]) -> list[bytes]:
        """All of it, the end."""
        news = [*self.news(texts), *self._start()]
        return [*news, framed("transcript", text=" ".join(texts), **self._language), framed("transcript-stop")]

    def _start(self) -> list[bytes]:
        if self._started:
            return []
        self._started = True
        return [framed("transcript-start", **self._language)]


def framed(kind: str, **data: str | int | None) -> bytes:
    """A frame without payload, as bytes."""
    return Frame(kind, data).encode()
