"""A loaded bundle that turns streams of audio into words: the one way for microphones, uploads, files and evaluation.

    open: options ─► stream
    accept: bytes ─ pcm ─ resample ─ features, voice activity                          each stream alone, no model
    advance: a step of every ready stream ─ acoustic model ─ endpointer, decoder       all in one call
    take: SpeechStarted, Partial, SpeechStopped, Final, Finished

Whole files take the same way, and steps lie on a grid counted from where the audio began: no event depends on how the
audio was cut. What a stream goes through, `stream` says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from stt_server.errors import BadBundle, BadOption, Internal
from stt_server.messages import AudioSpec, Final, Open, Transcript
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.bundle import load_bundle
from stt_server.speech.decoder.choice import default_decoder, load_decoders, usual_search
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.hotwords import spell_hotwords
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.named import Profile
from stt_server.speech.decoder.native import NativeDecoder, step_held
from stt_server.speech.endpoint import EndpointConfig
from stt_server.speech.features import LogMel
from stt_server.speech.segment import Grid
from stt_server.speech.stream import SAMPLE_RATE, Shared, Stream
from stt_server.speech.vad import VadConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.messages import Endpointing, Event
    from stt_server.speech.bundle import Bundle, Manifest
    from stt_server.speech.decoder.interface import Decoder
    from stt_server.speech.decoder.named import NamedModels

    Floats = NDArray[np.float32]

MAX_BEAM = 500


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """What a server sets for all streams; a stream's `Endpointing` may say otherwise. None: what the bundle says."""

    silence_ms: int = 600
    min_utterance_ms: int = 0
    max_utterance_ms: int = 30_000
    vad_mode: int = 2
    decoder: str | None = None
    beam: int | None = None


class Recognizer:
    """Shared by all streams and threads, changed by none; a stream belongs to one thread at a time."""

    def __init__(
        self,
        bundle: Bundle,
        model: AcousticModel,
        decoders: dict[str, Decoder],
        settings: RecognizerSettings,
        named: NamedModels | None = None,
    ) -> None:
        manifest = bundle.manifest
        self.bundle, self.model, self.decoders, self.settings = bundle, model, decoders, settings
        self.default_decoder = default_decoder(settings.decoder, manifest.decoder.engine, decoders)
        weights = manifest.decoder
        confidence = weights.confidence.calibration()
        beam = settings.beam or weights.beam
        self._profile = Profile(manifest.labels, weights.alpha, weights.beta, beam, confidence)
        self._named = named
        self._shared = Shared(
            model=bundle.name,
            grid=Grid.of(manifest),
            mel=LogMel(manifest.features.recipe()),
            vad=VadConfig(aggressiveness=settings.vad_mode),
            fresh=model.initial(),
            space=manifest.alphabet.space,
        )

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        precision: str = "fp32",
        threads: int = 1,
        lm: Path | None = None,
        decoder: str | None = None,
        settings: RecognizerSettings = RecognizerSettings(),
        like: Sequence[Recognizer] = (),
        named: NamedModels | None = None,
    ) -> Self:
        """Open a bundle and its decoders. `lm` replaces its language model. The default decoder is `decoder`, else the
        one that uses `lm`, else that of the settings, else the bundle's.

        Decoders that would be the same are shared with a recognizer in `like`, each of which has its bundle's own
        language model: they are most of the work of loading. `named` are the models that streams may ask for by name.

        Raises NotFound, BadBundle, BadOption, and Unsupported where the packages of a decoder asked for are missing.
        """
        if lm and settings.decoder in (None, "greedy"):
            settings = replace(settings, decoder=usual_search())
        settings = replace(settings, decoder=decoder or settings.decoder)
        bundle = load_bundle(folder)
        manifest, defaults = bundle.manifest, bundle.manifest.decoder
        model = AcousticModel.load(bundle.model_path(precision), threads=threads)
        _check_fit(manifest, model)
        same = next((each for each in like if not lm and each.decodes_as(manifest, settings)), None)
        decoders = (
            same.decoders
            if same
            else load_decoders(
                manifest.alphabet,
                lm or (bundle.path(manifest.lm) if manifest.lm else None),
                alpha=defaults.alpha,
                beta=defaults.beta,
                beam=settings.beam or defaults.beam,
                required=settings.decoder,
                confidence=defaults.confidence.calibration(),
            )
        )
        recognizer = cls(bundle, model, decoders, settings, named)
        if named is not None:
            named.join(recognizer, recognizer._profile)
        return recognizer

    def decodes_as(self, manifest: Manifest, settings: RecognizerSettings) -> bool:
        """Whether a bundle with this manifest would decode with the same labels, language model and weights."""
        return settings == self.settings and _decoding(manifest) == _decoding(self.bundle.manifest)

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def language(self) -> str:
        return self.bundle.manifest.language

    @property
    def takes_hotwords(self) -> bool:
        """Whether hotwords change what a stream hears that leaves the choice of the decoder to us."""
        return "hotwords" in self.decoders[self.default_decoder].takes

    @property
    def takes(self) -> frozenset[str]:
        """What of hotwords, boosts, grammar and beam such a stream may ask for."""
        return self.decoders[self.default_decoder].takes

    @property
    def letters(self) -> frozenset[str]:
        """Those it writes with."""
        return frozenset(self.bundle.manifest.alphabet.letters)

    def unknown(self, words: Iterable[str]) -> list[str]:
        """Those that its language model does not know, as far as that can be told: of the native decoder's."""
        decoder = self.decoders[self.default_decoder]
        lm = decoder.lm if isinstance(decoder, NativeDecoder) else None
        return [word for word in words if lm is not None and not lm.knows(word)]

    @property
    def version(self) -> str:
        """The model's name with its version."""
        return f"{self.bundle.name} {self.bundle.manifest.version}"

    @property
    def lm(self) -> str:
        """The language model behind finals, by the beginning of its digest; "" where they are decoded without one."""
        file = self.bundle.manifest.lm
        return f"{self.bundle.name}/{file.sha256[:12]}" if file and self.default_decoder != "greedy" else ""

    def warm(self, streams: int) -> None:
        """Step so many silent streams once: what the model needs for a batch of them is then taken for good."""
        self.model.warm(streams, self.bundle.manifest.step_frames)

    def open(self, options: Open) -> Stream:
        """A new stream. Raises BadOption naming the option that cannot be."""
        self._check(options)
        decoder = self._decoder(options)
        _check_search(options, decoder)
        boosts = spell_hotwords(options, self.bundle.manifest.alphabet)
        options = replace(options, hotwords=tuple(boosts), boosts=tuple(boosts.items()), hints=())
        grammar = compile_grammar(options.grammar, self.bundle.manifest.alphabet) if options.grammar else None
        open_decoding = decoder.prepare(Asked(options.boosts, grammar, options.beam))
        endpointing = _endpointing(self.settings, options.endpointing, self.bundle.manifest)
        return Stream(self._shared, options, endpointing, open_decoding)

    def accept(self, stream: Stream, data: bytes) -> None:
        """Take audio in. Raises BadAudio, then the stream keeps what it had, and Conflict after `finish`."""
        stream.accept(data)

    def flush(self, stream: Stream) -> None:
        """The utterance ends here; audio that follows belongs to the next. Raises Conflict after `finish`."""
        stream.flush()

    def finish(self, stream: Stream) -> None:
        """The stream ends here. Raises Conflict the second time."""
        stream.finish()

    def ready(self, stream: Stream) -> bool:
        """Whether `advance` can move the stream."""
        return stream.ready

    def advance(self, streams: Sequence[Stream]) -> None:
        """Move every stream, each of them ready, one step: a single call of the acoustic model, one of the search.

        An error leaves each stream where it was or properly a step on, but for the one at fault, which raises Internal
        from then on.
        """
        if any(stream.torn for stream in streams):
            raise Internal("this stream failed in the middle of a step and cannot go on; open another")
        features = np.stack([stream.segment.features() for stream in streams])
        logprobs, states = self.model.step(features, [stream.segment.state for stream in streams])
        if not np.isfinite(logprobs).all():
            raise Internal("the model said what is no number; this stream cannot go on; open another")
        try:
            for stream, rows, state in zip(streams, logprobs, states, strict=True):
                stream.hear(rows, state)
        finally:  # those before one that failed have heard theirs
            whole = [stream for stream in streams if not stream.torn]
            step_held([stream.decoding for stream in whole])
            for stream in whole:
                stream.show()

    def take(self, stream: Stream) -> list[Event]:
        """What has happened since the last call, in order."""
        events, stream.events = stream.events, []
        return events

    def transcribe(self, samples: Floats, options: Open | None = None) -> Transcript:
        """The words of 16 kHz samples (n,) in [-1, 1]: a stream, in a loop. The encoding in `options` is not used."""
        stream = self.open(offline(options))
        for start in range(0, len(samples), SAMPLE_RATE):
            self.accept(stream, as_bytes(samples[start : start + SAMPLE_RATE]))
            self._work_through(stream)
        self.finish(stream)
        self._work_through(stream)
        return self.transcript(stream)

    def transcript(self, stream: Stream) -> Transcript:
        """Take the events of a stream that is done; its finals."""
        finals = tuple(event for event in self.take(stream) if isinstance(event, Final))
        return Transcript(self.name, self.language, stream.audio_s, finals, self.version)

    def _work_through(self, stream: Stream) -> None:
        while stream.ready:
            self.advance([stream])

    def _check(self, options: Open) -> None:
        if options.model is not None and options.model != self.name:
            raise BadOption(f"there is no model {options.model[:60]!r}; this server runs {self.name!r}", field="model")
        if options.language is not None and options.language.split("-")[0].lower() != self.language:
            message = f"the model {self.name!r} knows {self.language!r}, not {options.language[:60]!r}"
            raise BadOption(message, field="language")
        if options.decoder is not None and options.decoder not in self.decoders:
            have = ", ".join(self.decoders)
            raise BadOption(
                f"there is no decoder {options.decoder[:60]!r} here; choose one of: {have}", field="decoder"
            )

    def _decoder(self, options: Open) -> Decoder:
        if options.lm is None:
            return self.decoders[options.decoder or self.default_decoder]
        if options.decoder not in (None, NativeDecoder.name):
            message = f"the decoder {options.decoder} takes no language model by name; leave out one of the two"
            raise BadOption(message, field="lm")
        if self._named is None:
            raise BadOption(f"there is no language model {options.lm[:60]!r} here", field="lm")
        return self._named.decoder(options.lm, self._profile)


def _check_search(options: Open, decoder: Decoder) -> None:
    """Raise BadOption for what the decoder cannot be asked for."""
    asked = {"hotwords": options.hotwords, "boosts": options.boosts, "grammar": options.grammar, "beam": options.beam}
    for name, wish in asked.items():
        if wish and name not in decoder.takes:
            able = "send none, or ask for the decoder native where the server has it"
            raise BadOption(f"the decoder {decoder.name} takes no {name}; {able}", field=name)
    if options.beam is not None and not 1 <= options.beam <= MAX_BEAM:
        raise BadOption(f"beam must be 1 to {MAX_BEAM}, not {options.beam}", field="beam")


def offline(options: Open | None = None) -> Open:
    """Options for samples at hand: 16 kHz floats as `as_bytes` gives, no partials."""
    return replace(options or Open("offline"), audio=AudioSpec("f32le", SAMPLE_RATE, 1), partials=False, live=False)


def as_bytes(samples: Floats) -> bytes:
    """Samples (n,) as a stream opened with `offline` accepts them."""
    return samples.astype("<f4").tobytes()


def _check_fit(manifest: Manifest, model: AcousticModel) -> None:
    """Raise BadBundle where the graph is not the model that the manifest describes."""
    facts = [
        ("features.n_mels", manifest.features.n_mels, model.n_mels),
        ("labels", len(manifest.alphabet), model.labels),
        ("states", manifest.states, model.state_shapes),
    ]
    for field, said, found in facts:
        if said != found:
            raise BadBundle(f"the manifest's {field} say {said}, but the graph has {found}", field=field)


def _decoding(manifest: Manifest) -> tuple[object, ...]:
    return manifest.labels, manifest.lm.sha256 if manifest.lm else "", manifest.decoder


def _endpointing(settings: RecognizerSettings, asked: Endpointing, manifest: Manifest) -> EndpointConfig:
    return EndpointConfig(
        silence_ms=settings.silence_ms if asked.silence_ms is None else asked.silence_ms,
        min_utterance_ms=settings.min_utterance_ms if asked.min_utterance_ms is None else asked.min_utterance_ms,
        max_utterance_ms=settings.max_utterance_ms if asked.max_utterance_ms is None else asked.max_utterance_ms,
        model_frame_ms=manifest.features.hop_ms * manifest.subsampling,
        vad_ahead_ms=manifest.lag_frames * manifest.features.hop_ms * manifest.subsampling,
    )
