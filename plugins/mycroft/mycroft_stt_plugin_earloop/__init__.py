"""Earloop's speech-to-text for Mycroft: `mycroft-stt-plugin-earloop` and its streaming twin.

Mycroft makes its classes without arguments, and when that fails goes back to a cloud which is no more; so nothing here
asks the network before somebody speaks. It has no fallback engine: by the kind of the error it says what is wrong.
"""

from __future__ import annotations

from typing import Any

from mycroft.configuration import Configuration
from mycroft.stt import STT, StreamingSTT

from .earloop.ears import Hearing, Languages, Streaming

VERSION = "0.1.0"
LABEL = f"mycroft-stt-plugin-earloop/{VERSION}"


class EarloopSTT(Hearing, STT):
    """A whole utterance at once."""

    available_languages = Languages()

    def __init__(self) -> None:
        super().__init__()
        self.listen_with(self.config, Configuration.get(), LABEL)

    def execute(self, audio: Any, language: str | None = None) -> str:
        """Raises Failure."""
        return self.hear(audio, language or self.lang)


class EarloopStreamingSTT(Streaming, StreamingSTT):
    """While it is spoken. Mycroft gives the whole recording in the end, too, which is heard where nothing streamed."""

    available_languages = Languages()

    def __init__(self) -> None:
        super().__init__()
        self.queue = None
        self.listen_with(self.config, Configuration.get(), LABEL)

    def execute(self, audio: Any, language: str | None = None) -> str | None:
        """Raises Failure."""
        if audio is None or self.has_heard:
            return self.heard(language)
        self._give_up()
        return self.hear(audio, language or self.lang)
