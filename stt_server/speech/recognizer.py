"""From bytes to words: what one stream goes through, and the one call that moves many streams a step.

    accept: bytes ─ pcm ─ resample ─┬─ vad flags
                                    └─ log-mel frames          (each stream alone, no model)
    advance: 16 frames of every ready stream ─ acoustic model ─ decoder, endpoint      (all in one call)
    take: SpeechStarted, Partial, SpeechStopped, Final, Finished

Whole files take the same way (`transcribe`), so nothing depends on how audio was cut: steps lie on a grid of frames
counted from where the model last began afresh, and that depends on the audio alone.

The model begins afresh, with the zero state it was trained from, when an utterance has ended and when nothing was heard
for a while. It then hears `LEAD_FRAMES` of the sound before again, for a word may begin there, but writes nothing of it.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadOption, Unsupported
from stt_server.messages import (
    Final,
    Finished,
    Open,
    Partial,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Word,
)
from stt_server.speech import endpoint
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.bundle import load_bundle
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.reference import ReferenceDecoder
from stt_server.speech.endpoint import EndpointConfig, EndpointState
from stt_server.speech.features import LogMel
from stt_server.speech.pcm import AudioFormat, decode_pcm
from stt_server.speech.resample import resampler
from stt_server.speech.vad import Vad, VadConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.messages import Endpointing, Event, Reason
    from stt_server.speech.acoustic import State
    from stt_server.speech.bundle import Bundle
    from stt_server.speech.decoder.interface import Decoder, Decoding, Hypothesis
    from stt_server.speech.resample import ResampleState

    Floats = NDArray[np.float32]

SAMPLE_RATE = 16000
LEAD_FRAMES = 8
IDLE_FRAMES = 100
ENGINES = ("greedy", "reference")


@dataclass(frozen=True, slots=True)
class RecognizerSettings:
    """What a server sets for all its streams; a stream's `Endpointing` may say otherwise. `decoder` None: the bundle's."""

    silence_ms: int = 600
    min_utterance_ms: int = 0
    max_utterance_ms: int = 30_000
    vad_mode: int = 2
    decoder: str | None = None
    beam: int | None = None


class Segment:
    """Audio between two flushes: its own clock, features, voice activity, model state and utterances."""

    def __init__(self, recognizer: Recognizer, options: Open, offset_s: float) -> None:
        manifest = recognizer.bundle.manifest
        self.offset_s = offset_s
        self.samples = 0
        self.vad = Vad(VadConfig(aggressiveness=recognizer.settings.vad_mode))
        self.config = _endpointing(recognizer.settings, options.endpointing)
        self.endpoint = EndpointState()
        self.speech: list[bool] = []
        self.speech_from = 0
        self.tail = recognizer.mel.initial()
        self.frames: list[Floats] = []
        self.kept_from = self.kept_to = 0
        self.total: int | None = None
        self.lag, self.step = manifest.lag_frames, manifest.step_frames
        self._subsampling = manifest.subsampling
        self.begin(recognizer, 0, 0)

    def begin(self, recognizer: Recognizer, origin: int, heard_from: int) -> None:
        """Start the model afresh at output frame `origin`; what it says of frames before `heard_from` is not used."""
        self.state: State = recognizer.model.initial()
        self.origin, self.heard_from = origin, heard_from
        self.next = self.origin * self._subsampling
        self.outputs = 0

    def add(self, mel: LogMel, samples: Floats) -> None:
        self.samples += len(samples)
        self.speech += self.vad.process(samples).tolist()
        self._frame(mel, samples)

    def close(self, mel: LogMel) -> None:
        """No more audio: silence follows, as far as the model looks ahead."""
        recipe = mel.recipe
        self.total = math.ceil(self.samples / (recipe.hop * self._subsampling))
        frames = (self.total + self.lag) * self._subsampling + self.step
        self._frame(mel, np.zeros(max(0, frames * recipe.hop + recipe.window - self.samples), np.float32))

    def _frame(self, mel: LogMel, samples: Floats) -> None:
        frames, self.tail = mel(samples, self.tail)
        if len(frames):
            self.frames.append(frames)
            self.kept_to += len(frames)

    @property
    def done(self) -> bool:
        """Whether a closed segment has been heard to its end."""
        return self.total is not None and self.position >= self.total

    @property
    def position(self) -> int:
        """The output frame that the model names next."""
        return self.origin + max(0, self.outputs - self.lag)

    @property
    def ready(self) -> bool:
        return not self.done and self.kept_to - self.next >= self.step

    def take_step(self) -> Floats:
        """The next `step_frames` of features, (step, mels). Frames no lead can need again are dropped."""
        if len(self.frames) > 1:
            self.frames = [np.concatenate(self.frames)]
        start = self.next - self.kept_from
        step = self.frames[0][start : start + self.step]
        self.next += self.step
        behind = (self.position - LEAD_FRAMES) * self._subsampling - self.kept_from
        if behind > 0:
            self.frames[0], self.kept_from = self.frames[0][behind:], self.kept_from + behind
        return step

    def flags(self, frame: int) -> list[bool]:
        """The voice activity of an output frame; silence where the audio has ended."""
        per_frame = self.config.model_frame_ms // self.config.vad_frame_ms
        start = frame * per_frame - self.speech_from
        if start > 50 * per_frame:
            self.speech, self.speech_from = self.speech[start:], self.speech_from + start
            start = 0
        flags = self.speech[start : start + per_frame]
        return flags + [False] * (per_frame - len(flags))

    def seconds(self, frame: float) -> float:
        """The session's time at an output frame of this segment."""
        return round(self.offset_s + frame * self.config.model_frame_ms / 1000, 3)


@dataclass(slots=True, eq=False)
class Stream:
    """Everything that belongs to one stream; the recogniser keeps nothing of it."""

    options: Open
    format: AudioFormat
    segment: Segment
    resampled: ResampleState
    decoder: Decoder
    decoding: Decoding
    rest: bytes = b""
    utterance: int = 0
    shown: str = ""
    accepted: int = 0
    closing: Reason | None = None
    held: deque[Floats | Reason] = field(default_factory=deque)
    events: list[Event] = field(default_factory=list)
    done: bool = False

    @property
    def audio_s(self) -> float:
        """Seconds of audio accepted so far."""
        return round(self.accepted / self.format.sample_rate, 6)


class Recognizer:
    """A loaded bundle. Shared by all streams, changed by none."""

    def __init__(self, bundle: Bundle, model: AcousticModel, decoders: dict[str, Decoder], settings: RecognizerSettings) -> None:
        self.bundle, self.model, self.settings = bundle, model, settings
        self.decoders = decoders
        self.mel = LogMel(bundle.manifest.features.recipe())

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        precision: str = "fp32",
        threads: int = 1,
        lm: Path | None = None,
        settings: RecognizerSettings = RecognizerSettings(),  # noqa: B008  (frozen)
    ) -> Recognizer:
        """Open a bundle and its decoders; `lm` replaces its language model. Raises BadBundle, NotFound, BadOption."""
        bundle = load_bundle(folder)
        model = AcousticModel.load(bundle.model_path(precision), threads=threads)
        return cls(bundle, model, _decoders(bundle, lm, settings), settings)

    @property
    def name(self) -> str:
        return self.bundle.name

    @property
    def language(self) -> str:
        return self.bundle.manifest.language

    @property
    def default_decoder(self) -> str:
        """What a stream that asks for none is decoded with: the setting, else the bundle's, else greedy."""
        wanted = self.settings.decoder or self.bundle.manifest.decoder.engine
        return wanted if wanted in self.decoders else "greedy"

    def open(self, options: Open) -> Stream:
        """A new stream. Raises BadOption naming the option that cannot be."""
        audio = options.audio
        form = AudioFormat(audio.encoding, audio.sample_rate, audio.channels)
        self._check(options)
        decoder = self.decoders[options.decoder or self.default_decoder]
        resampled = resampler(form.sample_rate, SAMPLE_RATE).initial()
        return Stream(options, form, Segment(self, options, 0.0), resampled, decoder, decoder.open(options.hotwords))

    def accept(self, stream: Stream, data: bytes) -> None:
        """Take audio in. Raises BadAudio; the stream then keeps what it had."""
        samples, stream.rest = decode_pcm(stream.format, data, stream.rest)
        convert = resampler(stream.format.sample_rate, SAMPLE_RATE)
        stream.accepted += len(samples)
        samples, stream.resampled = convert(samples, stream.resampled)
        self._feed(stream, samples)

    def flush(self, stream: Stream) -> None:
        """The utterance ends here; audio that follows belongs to the next."""
        self._feed(stream, "flush")

    def finish(self, stream: Stream) -> None:
        """The stream ends here."""
        self._feed(stream, resampler(stream.format.sample_rate, SAMPLE_RATE).flush(stream.resampled))
        self._feed(stream, "finish")

    def ready(self, stream: Stream) -> bool:
        return not stream.done and stream.segment.ready

    def advance(self, streams: Sequence[Stream]) -> None:
        """Move every stream, each of them ready, one step: a single call of the acoustic model."""
        features = np.stack([stream.segment.take_step() for stream in streams])
        logprobs, states = self.model.step(features, [stream.segment.state for stream in streams])
        for stream, rows, state in zip(streams, logprobs, states, strict=True):
            stream.segment.state = state
            self._hear(stream, rows)
            self._end_segment(stream)

    def take(self, stream: Stream) -> list[Event]:
        """What has happened since the last call, in order."""
        events, stream.events = stream.events, []
        return events

    def transcribe(self, samples: Floats, options: Open | None = None) -> Transcript:
        """The words of 16 kHz samples (n,) in [-1, 1]: a stream, in a loop."""
        return self.transcribe_all([samples], options)[0]

    def transcribe_all(self, clips: Iterable[Floats], options: Open | None = None) -> list[Transcript]:
        """Several recordings at once, stacked as a server stacks streams."""
        options = replace(options or Open("offline"), partials=False, audio=FLOAT_16K)
        streams = []
        for samples in clips:
            stream = self.open(options)
            self.accept(stream, samples.astype("<f4").tobytes())
            self.finish(stream)
            streams.append(stream)
        while waiting := [stream for stream in streams if self.ready(stream)]:
            self.advance(waiting)
        return [self.transcript(stream.audio_s, stream.events) for stream in streams]

    def transcript(self, audio_s: float, events: Iterable[Event]) -> Transcript:
        return Transcript(self.name, self.language, audio_s, tuple(event for event in events if isinstance(event, Final)))

    def _check(self, options: Open) -> None:
        if options.model not in (None, self.name):
            raise BadOption(f"there is no model {options.model!r}; this server runs {self.name!r}", field="model")
        if options.language is not None and options.language.split("-")[0].lower() != self.language:
            message = f"the model {self.name!r} knows {self.language!r}, not {options.language!r}"
            raise BadOption(message, field="language")
        if options.decoder is not None and options.decoder not in self.decoders:
            have = ", ".join(self.decoders)
            raise BadOption(f"there is no decoder {options.decoder!r} here; choose one of: {have}", field="decoder")

    def _feed(self, stream: Stream, item: Floats | Reason) -> None:
        """Samples, or the reason to end here, into the segment; behind a closing one they wait."""
        if stream.closing is not None:
            stream.held.append(item)
        elif isinstance(item, str):
            stream.segment.close(self.mel)
            stream.closing = item
            self._end_segment(stream)
        else:
            stream.segment.add(self.mel, item)

    def _hear(self, stream: Stream, logprobs_TV: Floats) -> None:
        """Give a step's outputs to the endpointer and, up to where it cuts, to the decoder."""
        segment = stream.segment
        first, late = segment.origin + segment.outputs - segment.lag, max(0, segment.lag - segment.outputs)
        segment.outputs += len(logprobs_TV)
        skip = max(late, segment.heard_from - first)
        last = len(logprobs_TV) if segment.total is None else segment.total - first
        rows = logprobs_TV[skip : max(skip, last)]
        tokens = self._names_letters(rows)
        heard = 0
        for row, token in enumerate(tokens, 1):
            for event in self._witness(segment, first + skip + row - 1, token):
                if isinstance(event, endpoint.SpeechStarted):
                    stream.events.append(SpeechStarted(segment.seconds(event.at_ms / segment.config.model_frame_ms)))
                elif stream.options.endpointing.enabled:
                    stream.decoding.step(rows[heard:row])
                    self._end_utterance(stream, first + skip + row, event)
                    return
        if len(rows):
            stream.decoding.step(rows)
        self._show(stream)
        self._rest_when_idle(stream)

    def _names_letters(self, rows: Floats) -> list[bool]:
        best = rows.argmax(1)
        named: list[bool] = ((best != 0) & (best != self.bundle.manifest.alphabet.space)).tolist()
        return named

    def _witness(self, segment: Segment, frame: int, token: bool) -> list[endpoint.Event]:
        segment.endpoint, events = endpoint.advance(segment.config, segment.endpoint, segment.flags(frame), [token])
        return events

    def _show(self, stream: Stream) -> None:
        if not stream.options.partials:
            return
        hypothesis = stream.decoding.partial()
        if hypothesis.text != stream.shown:
            stream.shown = hypothesis.text
            stream.events.append(Partial(stream.utterance, hypothesis.text, hypothesis.stable))

    def _end_utterance(self, stream: Stream, frame: int, event: endpoint.Endpoint) -> None:
        """An endpoint before output frame `frame`: say the final and start afresh, a lead-in earlier."""
        segment = stream.segment
        start_s, end_s = (segment.seconds(ms / segment.config.model_frame_ms) for ms in (event.started_ms, event.speech_end_ms))
        stream.events.append(SpeechStopped(end_s))
        self._say_final(stream, event.reason, start_s, end_s)
        segment.begin(self, max(0, frame - LEAD_FRAMES), frame)

    def _rest_when_idle(self, stream: Stream) -> None:
        segment = stream.segment
        if not segment.endpoint.is_speaking and segment.position - segment.origin >= IDLE_FRAMES and segment.total is None:
            segment.begin(self, segment.position - LEAD_FRAMES, segment.position)
            stream.decoding = stream.decoder.open(stream.options.hotwords)

    def _end_segment(self, stream: Stream) -> None:
        """When a closed segment is heard out: the final, then what waited behind it."""
        while stream.closing is not None and stream.segment.done and not stream.done:
            segment, reason = stream.segment, stream.closing
            started_ms = segment.endpoint.started_ms
            end_s = segment.seconds(segment.total or 0)
            self._say_final(stream, reason, end_s if started_ms is None else segment.offset_s + started_ms / 1000, end_s)
            if reason == "finish":
                stream.events.append(Finished(stream.audio_s, self.name))
                stream.done = True
                return
            stream.segment = Segment(self, stream.options, segment.offset_s + segment.samples / SAMPLE_RATE)
            stream.closing = None
            held, stream.held = stream.held, deque()
            for item in held:
                self._feed(stream, item)

    def _say_final(self, stream: Stream, reason: Reason, start_s: float, end_s: float) -> None:
        hypothesis = stream.decoding.final()
        words = self._timed(stream, hypothesis)
        if words:
            start_s, end_s = min(start_s, words[0].start_s), max(words[-1].end_s, min(end_s, words[-1].end_s + 0.5))
        stream.events.append(Final(stream.utterance, hypothesis.text, words, round(start_s, 3), round(end_s, 3), reason))
        stream.decoding = stream.decoder.open(stream.options.hotwords)
        stream.utterance, stream.shown = stream.utterance + 1, ""

    def _timed(self, stream: Stream, hypothesis: Hypothesis) -> tuple[Word, ...]:
        """The decoder counts frames from where its utterance began."""
        segment = stream.segment
        return tuple(
            Word(word.text, segment.seconds(segment.heard_from + word.start), segment.seconds(segment.heard_from + word.end), word.confidence)
            for word in hypothesis.words
        )


FLOAT_16K = replace(Open("offline").audio, encoding="f32le", sample_rate=SAMPLE_RATE, channels=1)


def _decoders(bundle: Bundle, lm: Path | None, settings: RecognizerSettings) -> dict[str, Decoder]:
    """The engines that can run here. The reference decoder is left out where its packages are not installed."""
    manifest = bundle.manifest
    decoders: dict[str, Decoder] = {"greedy": GreedyDecoder(manifest.alphabet)}
    lm = lm or (bundle.path(manifest.lm) if manifest.lm else None)
    defaults = manifest.decoder
    if settings.decoder == "greedy":
        return decoders
    try:
        beam = settings.beam or defaults.beam
        decoders["reference"] = ReferenceDecoder(manifest.alphabet, lm, alpha=defaults.alpha, beta=defaults.beta, beam=beam)
    except Unsupported:
        if settings.decoder == "reference":
            raise
    return decoders


def _endpointing(settings: RecognizerSettings, asked: Endpointing) -> EndpointConfig:
    return EndpointConfig(
        silence_ms=settings.silence_ms if asked.silence_ms is None else asked.silence_ms,
        min_utterance_ms=settings.min_utterance_ms if asked.min_utterance_ms is None else asked.min_utterance_ms,
        max_utterance_ms=settings.max_utterance_ms if asked.max_utterance_ms is None else asked.max_utterance_ms,
    )
