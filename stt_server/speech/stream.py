"""One stream: bytes in, steps for the model out, what the model says in, events out.

    accept ─ pcm ─ waiting ─ resample ─ segment ═► model ═► hear ─ endpoint ─┬─ decoder ─ Partial
                                                                             └─ SpeechStarted, SpeechStopped, Final

A flush or finish closes the segment: silence is put behind it, it is heard out, its final said. What comes meanwhile is
held for the next segment. The model begins afresh, with the zero state it was trained from, when an utterance has ended
and when nothing was heard for a while. At the end of an utterance it settles first: it writes what it has heard and not
yet said. Where the client wants no endpoints the model does the same, but the utterance goes on: the pause then stands
for a space, which a model that begins afresh would not write. An utterance that is cut for its length alone ends in the
middle of speech; the model hears on as if nothing had been, and the letters that follow are the next one's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import Conflict
from stt_server.messages import Alternative, Final, Finished, Partial, SpeechStarted, SpeechStopped, Word
from stt_server.speech import endpoint
from stt_server.speech.endpoint import Endpoint
from stt_server.speech.pcm import AudioFormat, decode_pcm
from stt_server.speech.resample import resampler
from stt_server.speech.segment import Segment
from stt_server.speech.vad import Vad

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from stt_server.messages import Event, Open, Reason
    from stt_server.speech.acoustic import State
    from stt_server.speech.decoder.interface import Decoding, Hypothesis, TimedWord
    from stt_server.speech.endpoint import EndpointConfig, EndpointState
    from stt_server.speech.features import LogMel
    from stt_server.speech.segment import Grid
    from stt_server.speech.vad import VadConfig

    Floats = NDArray[np.float32]

SAMPLE_RATE = 16000
IDLE_FRAMES = 100  # of silence heard by one run of the model, 4 s; then it begins afresh
IMPOSSIBLE = -20.0  # log-probability of any other label
END_AFTER_WORD_S = 0.5  # sound that is no word belongs to an utterance for so long behind its last word


@dataclass(frozen=True, slots=True)
class Shared:
    """What all streams of a recogniser have in common."""

    model: str  # its name
    grid: Grid
    mel: LogMel
    vad: VadConfig
    fresh: State
    space: int  # its label


class Stream:
    """Everything that belongs to one stream. `options` are checked, hotwords normalised; one thread at a time."""

    def __init__(
        self, shared: Shared, options: Open, endpointing: EndpointConfig, open_decoding: Callable[[], Decoding]
    ) -> None:
        self.options = options
        self.format = AudioFormat(options.audio.encoding, options.audio.sample_rate, options.audio.channels)
        self.events: list[Event] = []
        self.done = False
        self.torn = False  # a step failed half-way
        self._shared, self._endpointing = shared, endpointing
        # Audio on its way to the segment.
        self._resampler = resampler(self.format.sample_rate, SAMPLE_RATE)
        self._resampled = self._resampler.initial()
        self._rest = b""  # of a sample frame that has begun
        self._waiting: list[Floats] = []  # at the stream's own rate
        self._accepted = 0  # samples at the stream's own rate
        self._due = 0  # how many of them make the next step complete
        self.segment = self._new_segment(0.0)
        self._closing: Reason | None = None  # why the segment ends
        self._held: deque[Floats | Reason] = deque()  # what came behind its end
        self._finishing = False
        # The utterance.
        self._open = open_decoding
        self._begin_decoding(0)
        self._utterance = 0
        self._shown, self._is_news = "", False  # whether what was heard since may be another text
        self._ending: Endpoint | None = None  # after it the model settles

    @property
    def audio_s(self) -> float:
        """Seconds of audio accepted so far."""
        return round(self._accepted / self.format.sample_rate, 6)

    @property
    def decoding(self) -> Decoding:
        """Of the utterance; another one behind its end."""
        return self._decoding

    @property
    def ready(self) -> bool:
        """Whether a step waits for the model."""
        return not self.done and self.segment.ready

    # -------------------------------------------------------------------------------------------------------- audio in

    def accept(self, data: bytes) -> None:
        """Raises BadAudio, then the stream keeps what it had, and Conflict after `finish`."""
        self._check_open()
        samples, self._rest = decode_pcm(self.format, data, self._rest)
        self._waiting.append(samples)
        self._accepted += len(samples)
        if self._accepted >= self._due:
            self._pass_on()

    def flush(self) -> None:
        """The utterance ends here; audio that follows belongs to the next. Raises Conflict after `finish`."""
        self._check_open()
        self._pass_on()
        self._feed("flush")

    def finish(self) -> None:
        """The stream ends here. Raises Conflict the second time."""
        self._check_open()
        self._finishing = True
        self._pass_on()
        self._feed(self._resampler.flush(self._resampled))
        self._feed("finish")

    def _check_open(self) -> None:
        if self._finishing:
            raise Conflict("the stream was finished; open another for more audio")

    def _pass_on(self) -> None:
        """Resample what waits. Small pieces wait for a whole step, which is several times cheaper."""
        samples = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.float32)
        self._waiting.clear()
        samples, self._resampled = self._resampler(samples, self._resampled)
        self._feed(samples)
        self._due = self._accepted - (-self.segment.missing * self.format.sample_rate // SAMPLE_RATE)

    def _feed(self, item: Floats | Reason) -> None:
        """Samples, or the reason to end here, into the segment; behind a closing one they wait."""
        if self._closing is not None:
            self._held.append(item)
        elif isinstance(item, str):
            self.segment.close()
            self._closing = item
            self._end_segment()
        else:
            self.segment.add(item)

    def _new_segment(self, offset_s: float) -> Segment:
        shared = self._shared
        return Segment(shared.grid, shared.mel, Vad(shared.vad), self._endpointing, shared.fresh, offset_s)

    def _end_segment(self) -> None:
        """When a closed segment is heard out: the final, then what waited behind it."""
        if self._closing is None or not self.segment.done:
            return
        self.show()
        self._say_last(self._closing)
        if self._closing == "finish":
            self.events.append(Finished(self.audio_s, self._shared.model))
            self.done = True
            return
        self.segment = self._new_segment(self.segment.offset_s + self.segment.samples / SAMPLE_RATE)
        self._closing, self._due = None, 0
        held, self._held = self._held, deque()
        for item in held:
            self._feed(item)

    # ------------------------------------------------------------------------------------------------------- words out

    def hear(self, logprobs_TV: Floats, state: State) -> None:
        """What the model says of the segment's next step, and its state behind it. `show` must follow, before which
        the decodings of several streams may be stepped together: `decoding` may hold frames.
        """
        self.torn = True
        frame, rows = self.segment.heard(logprobs_TV, state)
        if self._ending is None:
            self._hear(frame, rows)
        else:
            self._hear_out(self._ending, rows)
        self.segment.forget()
        self._end_segment()
        self.torn = False

    def _hear(self, frame: int, rows: Floats) -> None:
        """Rows about output frame `frame` and later ones to both judges: the endpointer cuts, the decoder writes."""
        events, count, end = self._judge(frame, rows)
        if end is not None and end.in_silence:
            self._settle(events, end, frame, rows)
            return
        is_pause = end is not None and end.reason != "max_length" and not self.options.endpointing.enabled
        self._decoding.hold(self._ending_in_a_space(rows[:count]) if is_pause else rows[:count])
        for event in events:
            self._say_speech(event)
        if end is None:
            self._is_news = True
            if not self.segment.endpoint.is_speaking and self.segment.age >= IDLE_FRAMES:
                self.show()
                self._begin_afresh(self.segment.position)
        else:
            self._cut(end, frame + count, rows[count:])

    def _judge(self, frame: int, rows: Floats) -> tuple[list[endpoint.Event], int, Endpoint | None]:
        """The endpointer's events, how many rows there are up to the endpoint, and that endpoint if there is one.

        Frames that nobody speaks about, for the model is late, are judged by the VAD: in them no token was named.
        """
        segment, before = self.segment, self.segment.endpoint
        frame_ms = self._endpointing.model_frame_ms
        unsaid = max(0, frame - before.now_ms // frame_ms)
        tokens = [False] * unsaid + self._names_letters(rows)
        state, events = self._advance(before, tokens)
        end = next((event for event in events if isinstance(event, Endpoint) and self._cuts(event)), None)
        count = len(tokens) if end is None else (end.at_ms - before.now_ms) // frame_ms
        if count < len(tokens):  # the frames that follow are judged when it is known who speaks about them
            state, events = self._advance(before, tokens[:count])
        segment.endpoint = state
        return events, max(0, count - unsaid), end

    def _advance(self, state: EndpointState, tokens: list[bool]) -> tuple[EndpointState, list[endpoint.Event]]:
        segment, config = self.segment, self._endpointing
        voice = segment.voice(state, state.now_ms // config.model_frame_ms + len(tokens))
        return endpoint.advance(config, state, voice, tokens, closing=segment.closing)

    def _settle(self, events: list[endpoint.Event], end: Endpoint, frame: int, rows: Floats) -> None:
        """An endpoint in silence: the model is to write about all of it, and what is late of the last sound.

        Where the utterance goes on, its frames go on, too: then none may be about silence that was never heard.
        """
        until_ms = self._silent_until_ms(end)
        if self.options.endpointing.enabled:
            until_ms = max(until_ms, end.speech_end_ms + self._endpointing.late_ms)
        for event in events:
            if event != end:
                self._say_speech(event)
        until = -(-until_ms // self._endpointing.model_frame_ms)
        self._ending = end
        self.segment.settle(until)
        self._hear_out(end, rows[: max(0, until - frame)])

    def _silent_until_ms(self, end: Endpoint) -> int:
        return end.at_ms + self._endpointing.vad_ahead_ms

    def _hear_out(self, end: Endpoint, rows: Floats) -> None:
        """Rows of a model that settles; with the last of them the utterance ends, or pauses."""
        segment = self.segment
        is_pause = segment.settled and not self.options.endpointing.enabled
        self._decoding.step(self._ending_in_a_space(rows) if is_pause else rows)
        if not segment.settled:
            return
        self._ending = None
        self._say_speech(end)
        if self.options.endpointing.enabled:
            self._end_utterance(end)
        else:
            self._show()
        frame = self._silent_until_ms(end) // self._endpointing.model_frame_ms
        self._begin_afresh(frame, end.speech_end_ms)

    def _cut(self, end: Endpoint, frame: int, rows: Floats) -> None:
        """An endpoint in sound, at the output frame `frame`; `rows` are about what follows."""
        if self.options.endpointing.enabled:
            self._end_utterance(end)
        else:
            self._show()
        if end.reason == "max_length":
            self._begin_decoding(frame)
            self._hear(frame, rows)
        else:
            self._begin_afresh(frame)

    def _cuts(self, event: Endpoint) -> bool:
        """Without endpointing no utterance is too long; one that is cut there may be cut in a word."""
        return self.options.endpointing.enabled or event.reason != "max_length"

    def _ending_in_a_space(self, rows: Floats) -> Floats:
        """The rows before a pause, its last frame turned into a sure space."""
        space = self._shared.space
        if space < 0:
            return rows
        certain = np.full((1, rows.shape[1]), IMPOSSIBLE, np.float32)
        certain[0, space] = 0.0
        return np.concatenate([rows[:-1], certain])

    def _begin_afresh(self, frame: int, not_before_ms: int = 0) -> None:
        """Let the model start anew at an output frame; the decoding too, unless it has words that go on."""
        self.segment.begin(self._shared.fresh, frame, -(-not_before_ms // self._endpointing.model_frame_ms))
        if not self._decoding.partial().words:
            self._begin_decoding(frame)

    def _begin_decoding(self, frame: int) -> None:
        self._decoding, self._decoded_from = self._open(), frame

    def _names_letters(self, rows: Floats) -> list[bool]:
        best = rows.argmax(1)
        named: list[bool] = ((best != 0) & (best != self._shared.space)).tolist()
        return named

    def _say_speech(self, event: endpoint.Event) -> None:
        if isinstance(event, Endpoint):
            self.events.append(SpeechStopped(self.segment.seconds(event.speech_end_ms)))
        else:
            self.events.append(SpeechStarted(self.segment.seconds(event.at_ms)))

    def show(self) -> None:
        """Say the partial of what was heard last, unless it was said."""
        if self._is_news:
            self._show()

    def _show(self) -> None:
        self._is_news = False
        if not self.options.partials:
            return
        hypothesis = self._decoding.partial()
        text = hypothesis.text
        if text != self._shown:
            self._shown = text
            words = tuple(map(self._timed, hypothesis.words)) if self.options.partial_words else ()
            self.events.append(Partial(self._utterance, text, hypothesis.stable, words))

    def _end_utterance(self, event: Endpoint) -> None:
        segment = self.segment
        self._say_final(event.reason, segment.seconds(event.started_ms), segment.seconds(event.speech_end_ms))

    def _say_last(self, reason: Reason) -> None:
        """The final of a closed segment."""
        segment = self.segment
        started_ms, end_s = segment.endpoint.started_ms, segment.seconds(1000 * segment.samples / SAMPLE_RATE)
        if started_ms is not None:
            self.events.append(SpeechStopped(end_s))
        self._say_final(reason, end_s if started_ms is None else segment.seconds(started_ms), end_s)

    def _say_final(self, reason: Reason, start_s: float, end_s: float) -> None:
        greedy, likely = self._decoding.spelled(), self._decoding.finals(max(1, self.options.alternatives))
        hypothesis = likely[0]
        if reason == "noise" and hypothesis.words:
            reason = "silence"  # the endpointer was told of none, for they were written while the model settled
        words = tuple(self._timed(word) for word in hypothesis.words)
        if words:
            last_s = words[-1].end_s
            start_s, end_s = (
                min(start_s, words[0].start_s),
                max(last_s, min(end_s, round(last_s + END_AFTER_WORD_S, 3))),
            )
        other = None if greedy == hypothesis.text else greedy
        others = self._alternatives(likely) if self.options.alternatives else ()
        self.events.append(Final(self._utterance, hypothesis.text, words, start_s, end_s, reason, other, others))
        self._begin_decoding(0)  # of the next segment, unless this one goes on
        self._utterance, self._shown = self._utterance + 1, ""

    def _alternatives(self, hypotheses: tuple[Hypothesis, ...]) -> tuple[Alternative, ...]:
        """Each text once, as often as the search may spell it."""
        once: dict[str, Hypothesis] = {}
        for each in hypotheses:
            once.setdefault(each.text, each)
        return tuple(
            Alternative(text, tuple(map(self._timed, each.words)), round(each.score, 4)) for text, each in once.items()
        )

    def _timed(self, word: TimedWord) -> Word:
        """The decoder counts frames from the first that it heard."""
        segment = self.segment
        start, end = self._decoded_from + word.start, self._decoded_from + word.end
        return Word(word.text, segment.frame_seconds(start), segment.frame_seconds(end), word.confidence)
