"""Earloop's speech-to-text for OpenVoiceOS and Neon: `ovos-stt-plugin-earloop` and its streaming twin.

Their listener asks its `fallback_module` only where `transcribe` raises or returns an empty list, so that is what it
does here on every failure; the templates' own `transcribe` never would.
"""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

from .earloop.ears import Hearing, Languages, Streaming
from .version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

try:
    from ovos_plugin_manager.templates.stt import STT, StreamingSTT
    from ovos_utils import classproperty
    from ovos_utils.process_utils import RuntimeRequirements
except ImportError:
    # A Mycroft without OVOS imports every plugin that is installed, and one that cannot be leaves it without any. There
    # these classes cannot be used; `plugins/mycroft` can.
    STT = StreamingSTT = object
    classproperty = property
    RuntimeRequirements = dict

LABEL = f"ovos-stt-plugin-earloop/{VERSION}"


class _Ours(Hearing):
    """What both classes have in common."""

    available_languages = Languages()
    config_core: Mapping[str, Any]
    lang: str

    @classproperty
    def runtime_requirements(cls) -> Any:  # noqa: N805 - a property of the class
        """A network, but no internet."""
        return RuntimeRequirements(
            internet_before_load=False,
            network_before_load=False,
            requires_internet=False,
            requires_network=True,
            no_internet_fallback=True,
            no_network_fallback=False,
        )

    def transcribe(self, audio: Any = None, lang: str | None = None) -> list[tuple[str, float]]:
        """One hypothesis; an empty text is silence. Raises Failure.

        Its confidence is 1, as OVOS throws away what is below 0.6 by a measure that ours does not share.
        """
        text = self._text(audio, lang)
        return [] if text is None else [(text, 1.0)]

    def execute(self, audio: Any = None, language: str | None = None) -> str | None:
        return self._text(audio, language)

    def _text(self, audio: Any, lang: str | None) -> str | None:
        raise NotImplementedError

    def shutdown(self) -> None:
        """Nothing is held between utterances."""


class EarloopSTT(_Ours, STT):
    """A whole utterance at once."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self.listen_with(config or {}, _core(self), LABEL)

    def _text(self, audio: Any, lang: str | None) -> str | None:
        return self.hear(audio, lang or self.lang)


class EarloopStreamingSTT(_Ours, Streaming, StreamingSTT):
    """While it is spoken."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        super().__init__(config)
        self.queue = None
        self.transcript_ready = Event()
        self.listen_with(config or {}, _core(self), LABEL)

    def stream_start(self, language: str | None = None) -> None:
        self.transcript_ready.clear()
        super().stream_start(language)

    def stream_stop(self) -> str | None:
        try:
            return super().stream_stop()
        finally:
            self.transcript_ready.set()

    def shutdown(self) -> None:
        self._give_up()

    def _text(self, audio: Any, lang: str | None) -> str | None:
        """Of the stream, or of `audio` where there is none that heard anything, as over OVOS's bus."""
        try:
            if audio is None or self.has_heard:
                return self.heard(lang)
            self._give_up()
            return self.hear(audio, lang or self.lang)
        finally:
            self.transcript_ready.set()


def _core(plugin: Any) -> Mapping[str, Any]:
    """OVOS's whole configuration, as it is at every moment."""
    if getattr(plugin, "config_core", None) is not None:
        return plugin.config_core  # type: ignore[no-any-return]
    from ovos_config import Configuration

    return Configuration()  # type: ignore[no-any-return]


def _entry(language: str, name: str, priority: int, **more: Any) -> dict[str, Any]:
    meta = {"priority": priority, "display_name": name, "offline": True}
    return {"lang": language, "meta": meta, **more}


_LANGUAGES = ("en", "en-US", "en-GB", "en-AU")

# What OVOS's tools offer to choose from, for each language (the `.config` entry points).
EarloopSTTConfig = {each: [_entry(each, "Earloop", 60)] for each in _LANGUAGES}
EarloopStreamingSTTConfig = {each: [_entry(each, "Earloop (streaming)", 50)] for each in _LANGUAGES}
