"""What an assistant's speech-to-text class is made of, whatever its base.

    class Batch(Hearing, STT)                 hear(audio, language)
    class Streaming(Streaming, Hearing, …)    stream_start, stream_data …, then stream_stop or `heard`

A host calls these from one thread, the stream lives in another: a daemon, so that nothing keeps a process alive, and
whoever waits for it waits by a deadline.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from .consent import Consent
from .failures import Failure, Late
from .settings import read_settings
from .utterance import Utterance
from .vocabulary import phrases_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .settings import Settings

LOG = logging.getLogger(__name__)

LISTEN_S = 0.2  # how long the thread waits for audio before it looks what the server says
IDLE_S = 30.0  # a host that brings nothing for so long has forgotten its stream
MOST_CHUNKS = 10_000  # 20 MB of Mycroft's; beyond that the stream is given up
SPARE_S = 1.0
DEFAULT_LANGUAGES = frozenset({"en"})  # of the shipped model


class Ears:
    """The settings, put to use. `core` is the assistant's whole configuration, as it is at every moment."""

    def __init__(self, settings: Settings, core: Mapping[str, Any]) -> None:
        self.settings = settings
        self.languages = set(DEFAULT_LANGUAGES)
        self.consent = Consent(settings, core)
        self._phrases: dict[str, tuple[str, ...]] = {}

    def utterance(self, language: str, rate: int | None = None) -> Utterance:
        self.consent.settle()
        tag = self.settings.language or ("" if language == "auto" else language)
        return Utterance(
            self.settings,
            rate or self.settings.sample_rate,
            language=tag,
            hotwords=self._hotwords(tag),
            keep=self.consent.may_keep,
        )

    def hear(self, samples: bytes, rate: int, language: str) -> str:
        """What is said in 16-bit mono samples. Raises Failure."""
        utterance = self.utterance(language, rate)
        try:
            utterance.feed(samples)
            return self.text_of(utterance)
        finally:
            utterance.close()

    def text_of(self, utterance: Utterance) -> str:
        text = utterance.finish()
        self.languages = {utterance.heard_language}
        return text

    def _hotwords(self, language: str) -> tuple[str, ...]:
        settings = self.settings
        if language not in self._phrases:
            self._phrases[language] = phrases_in(settings.hotword_files, language) if settings.hotword_files else ()
        return tuple(dict.fromkeys(settings.hotwords + self._phrases[language]))


class Listening(Thread):
    """One utterance's thread, as the hosts' templates have it: `language` may be set up to the end of the audio.

    `finalize` may be called before the queue is empty (stable OVOS) and after the thread has ended (alpha OVOS).
    """

    def __init__(self, queue: Queue[bytes | None], language: str, ears: Ears) -> None:
        super().__init__(name="earloop-stream", daemon=True)
        self.queue = queue
        self.language = language
        self.text: str | None = None
        self.failure: Failure | None = None
        self.fed = False  # any audio at all
        self._ears = ears
        self._done = Event()

    def run(self) -> None:
        utterance: Utterance | None = None
        try:
            utterance = self._ears.utterance(self.language)
            self._listen(utterance)
            utterance.language = self._ears.settings.language or ("" if self.language == "auto" else self.language)
            self.text = self._ears.text_of(utterance)
        except Failure as failure:
            self.failure = failure
        finally:
            self._done.set()
            if utterance is not None:
                utterance.close()

    def finalize(self) -> str | None:
        """What was heard; None where nothing could be. Never raises, for hosts call it from where nobody catches."""
        try:
            return self.result()
        except Failure as failure:
            LOG.error("Earloop heard nothing: %s", failure)
            return None

    def result(self) -> str:
        """What was heard, as soon as that is known. Raises Failure."""
        settings = self._ears.settings
        patience_s = settings.timeout_s + settings.retry_s + 2 * settings.connect_s + SPARE_S
        if not self._done.wait(patience_s):
            raise Late(f"No text within {patience_s:g} s after the end.")
        if self.failure is not None or self.text is None:
            raise self.failure or Failure("The stream's thread broke off; see its traceback.")
        return self.text

    def give_up(self, failure: Failure) -> None:
        """The stream stays the host's, who may still set its language, but nothing comes of it."""
        self.failure = failure
        self._done.set()

    def _listen(self, utterance: Utterance) -> None:
        """Up to the None that ends the queue. Raises Failure."""
        idle_s = 0.0
        while idle_s < IDLE_S:
            try:
                chunk = self.queue.get(timeout=LISTEN_S)
            except Empty:
                idle_s += LISTEN_S
                utterance.advance(0.0)
                continue
            if chunk is None:
                return
            idle_s = 0.0
            utterance.feed(chunk)
        raise Late(f"No audio came for {IDLE_S:g} s, and no end.")


class Languages:
    """`available_languages`: the shipped model's on the class, on an instance what the server's model hears."""

    def __get__(self, instance: Any, owner: type) -> set[str]:
        return set(DEFAULT_LANGUAGES) if instance is None else set(instance.ears.languages)


class Hearing:
    """A mixin for the host's STT class: call `listen_with` in the constructor."""

    ears: Ears

    def listen_with(self, config: Mapping[str, Any], core: Mapping[str, Any], label: str) -> None:
        """Raises ValueError for a setting that cannot be."""
        listener = core.get("listener") or {}
        self.ears = Ears(read_settings(config, label, listener.get("sample_rate") or 16000), core)
        self.ears.consent.settle()

    def hear(self, audio: Any, language: str) -> str:
        """What is said in the host's AudioData, of any kind of the name. Raises Failure."""
        samples = audio.get_raw_data(convert_width=2)
        return self.ears.hear(samples, audio.sample_rate, language)


class Streaming(Hearing):
    """A mixin before the host's StreamingSTT, whose methods of these names wait without a deadline."""

    lang: str
    stream: Listening | None
    queue: Queue[bytes | None] | None

    def create_streaming_thread(self) -> Listening:
        assert self.queue is not None
        return Listening(self.queue, self.lang, self.ears)

    def stream_start(self, language: str | None = None) -> None:
        """A new stream; one that is still open is given up."""
        self._give_up()
        self.queue = Queue(MOST_CHUNKS)
        self.stream = self.create_streaming_thread()
        self.stream.language = language or self.lang
        self.stream.start()

    def stream_data(self, data: bytes) -> None:
        """Never waits: the microphone's thread calls it. Without a stream it is nothing."""
        if self.queue is None or self.stream is None:
            return
        try:
            self.stream.fed = True
            self.queue.put_nowait(data)
        except Full:
            self.stream.give_up(Late(f"The stream has fallen {MOST_CHUNKS} chunks behind."))

    def stream_stop(self) -> str | None:
        """What was heard; None where it failed, or where there is no stream, as at Mycroft's second call."""
        stream = self._ended()
        return None if stream is None else stream.finalize()

    def heard(self, language: str | None = None) -> str | None:
        """The same for who can catch. Raises Failure."""
        if self.stream is not None and language:
            self.stream.language = language
        stream = self._ended()
        return None if stream is None else stream.result()

    @property
    def has_heard(self) -> bool:
        """Whether a stream is open that got any audio."""
        return self.stream is not None and self.stream.fed

    def _ended(self) -> Listening | None:
        stream, queue, self.stream, self.queue = self.stream, self.queue, None, None
        if stream is not None and queue is not None:
            _end(queue)
        return stream

    def _give_up(self) -> None:
        self._ended()


def _end(queue: Queue[bytes | None]) -> None:
    """Behind the last chunk; in place of the oldest where there is no room."""
    with suppress(Full):
        queue.put_nowait(None)
        return
    with suppress(Empty):
        queue.get_nowait()
    queue.put_nowait(None)
