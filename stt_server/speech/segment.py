"""The audio between two flushes of a stream, cut into steps of the model, with voice activity beside them.

    samples ─ waiting ─┬─ features of a step ─► steps[…]      `next`: the step that the model hears next
                       └─ voice activity ─────► flags[…]      `position`: the output frame that it names next

Features and voice activity are computed a whole step at a time, on a grid that is counted from the segment's first
sample, and the model begins afresh only where a step does. So every number is computed from the same samples in the
same company, to the bit, in whatever pieces the audio came; and pieces of 20 ms cost no more than those of 160 ms.

A model that looks ahead is late. Where an utterance ends it must write what it has heard and not yet said: it settles,
which is to hear silence instead of the steps that follow, just as it does where the audio ends. Then it begins afresh
with those steps. So an utterance's letters are those of its audio as a clip of its own, however far the model looks
ahead, and nobody waits for more audio to get them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.speech.endpoint import begin_stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stt_server.speech.acoustic import State
    from stt_server.speech.bundle import Manifest
    from stt_server.speech.endpoint import EndpointConfig, EndpointState
    from stt_server.speech.features import LogMel
    from stt_server.speech.vad import Vad

    Floats = NDArray[np.float32]

LEAD_FRAMES = 8  # output frames heard before those that count, when the model begins afresh


@dataclass(frozen=True, slots=True)
class Grid:
    """The lengths that a bundle fixes, at 16 kHz."""

    samples: int  # in a step
    overlap: int  # by which the window of a step's last frame reaches into the next step
    outputs: int  # output frames of a step
    lag: int  # output frames by which the model is late

    @classmethod
    def of(cls, manifest: Manifest) -> Grid:
        recipe = manifest.features.recipe()
        return cls(
            samples=manifest.step_frames * recipe.hop,
            overlap=max(0, recipe.window - recipe.hop),
            outputs=manifest.step_frames // manifest.subsampling,
            lag=manifest.lag_frames,
        )

    @property
    def output_samples(self) -> int:
        return self.samples // self.outputs


class Segment:
    """A clock of its own, from output frame 0. Steps no lead-in can need again are dropped."""

    def __init__(
        self, grid: Grid, mel: LogMel, vad: Vad, endpointing: EndpointConfig, fresh: State, offset_s: float
    ) -> None:
        self.grid, self.endpointing, self.offset_s = grid, endpointing, offset_s
        self.endpoint = begin_stream(endpointing)
        self.samples = 0
        self.total: int | None = None  # output frames, once the segment is closed
        self._settle_to: int | None = None  # the output frame up to which the model speaks while it hears silence
        self._silent_steps = 0  # that it has heard since
        self._mel, self._tail = mel, mel.initial()
        self._vad = vad
        self._waiting: Floats = np.zeros(0, np.float32)
        self._steps: deque[Floats] = deque()
        self._first_step = 0
        self._flags: list[bool] = []
        self._first_flag = 0
        self.begin(fresh, 0)

    def begin(self, fresh: State, frame: int, not_before: int = 0) -> None:
        """Let the model start afresh, at least a lead-in before output frame `frame`, the first that will be used.

        The lead-in is shorter where it would reach back before the frame `not_before`: what an utterance ended with, a
        model that is late would write a second time.
        """
        self.state = fresh
        self.heard_from = frame
        self._settle_to, self._silent_steps = None, 0
        lead_in, here = max(0, frame - LEAD_FRAMES) // self.grid.outputs, frame // self.grid.outputs
        self.next = self._begun = max(lead_in, min(-(-not_before // self.grid.outputs), here))

    def settle(self, frame: int) -> None:
        """Let the model hear silence behind what it has heard, until it has spoken about all before `frame`."""
        self._settle_to, self._silent_steps = frame, 0

    # -------------------------------------------------------------------------------------------------------- audio in

    def add(self, samples: Floats) -> None:
        """Samples (n,) at 16 kHz; every step that they complete is made ready."""
        self.samples += len(samples)
        waiting = np.concatenate([self._waiting, samples]) if len(self._waiting) else samples
        used = 0
        while len(waiting) - used >= (needed := self._needed):
            step = waiting[used : used + needed]
            self._hear_voice(step)
            self._make_step(step)
            used += needed
        self._waiting = waiting[used:].copy()

    def close(self) -> None:
        """No more audio: silence follows, as far as the model looks ahead."""
        self.total = -(-self.samples // self.grid.output_samples)
        self._hear_voice(self._waiting)
        steps = -(-(self.total + self.grid.lag) // self.grid.outputs) if self.total else 0
        while self._first_step + len(self._steps) < steps:
            self._make_step(np.pad(self._waiting, (0, self._needed - len(self._waiting))))
            self._waiting = self._waiting[:0]

    @property
    def missing(self) -> int:
        """Samples still to come until the next step is complete."""
        return self._needed - len(self._waiting)

    @property
    def _needed(self) -> int:
        is_first = self._first_step + len(self._steps) == 0
        return self.grid.samples + (self.grid.overlap if is_first else 0)

    def _hear_voice(self, samples: Floats) -> None:
        self._flags += self._vad.process(samples).tolist()

    def _make_step(self, samples: Floats) -> None:
        frames, self._tail = self._mel(samples, self._tail)
        self._steps.append(frames)

    # ------------------------------------------------------------------------------------------------------- steps out

    @property
    def ready(self) -> bool:
        if self._settle_to is not None:
            return not self.settled
        return not self.done and self.next < self._first_step + len(self._steps)

    @property
    def done(self) -> bool:
        """Whether a closed segment has been heard to its end."""
        return self.total is not None and self._settle_to is None and self.position >= self.total

    @property
    def settled(self) -> bool:
        """Whether the model has spoken about all that it was to settle."""
        return self._settle_to is not None and self.position >= self._settle_to

    @property
    def closing(self) -> bool:
        """Whether the model has heard the closed segment's last audio."""
        return self.total is not None and self.next * self.grid.outputs >= self.total

    @property
    def position(self) -> int:
        """The output frame that is named next."""
        return max(self.heard_from, (self.next + self._silent_steps) * self.grid.outputs - self.grid.lag)

    @property
    def age(self) -> int:
        """Output frames about which the model has spoken since it last began afresh, its lead-in among them."""
        return (self.next - self._begun) * self.grid.outputs - self.grid.lag

    def features(self) -> Floats:
        """The next step, (step_frames, mels)."""
        if self._settle_to is None:
            return self._steps[self.next - self._first_step]
        recipe = self._mel.recipe
        return np.full((self.grid.samples // recipe.hop, recipe.n_mels), recipe.silence, np.float32)

    def heard(self, logprobs_TV: Floats, state: State) -> tuple[int, Floats]:
        """Move on behind the step of which the model said this; (frame, rows): what it says of `frame` and later ones.

        Left out are rows about the time before the model began, about its lead-in, and about what follows the end. So
        there may be none, and `frame` is below zero while a model that is late has not spoken yet.
        """
        first = (self.next + self._silent_steps) * self.grid.outputs - self.grid.lag
        start = min(max(0, self.heard_from - first), len(logprobs_TV))
        end = self.total if self._settle_to is None else self._settle_to
        stop = len(logprobs_TV) if end is None else end - first
        self.state = state
        if self._settle_to is None:
            self.next += 1
        else:
            self._silent_steps += 1
        return first + start, logprobs_TV[start : max(start, stop)]

    def voice(self, state: EndpointState, frame: int) -> list[bool]:
        """The voice activity that `state` lacks for output frames before `frame`, silence where the audio has ended.

        It is that of the sound up to `vad_ahead_ms` later, which is known by then.
        """
        config = self.endpointing
        first = state.voice_ms // config.vad_frame_ms - self._first_flag
        end = (frame * config.model_frame_ms + config.vad_ahead_ms) // config.vad_frame_ms - self._first_flag
        flags = self._flags[first:end]
        return flags + [False] * (end - first - len(flags))

    def forget(self) -> None:
        """Drop what lies so far back that no lead-in can begin there; while the model settles, nothing."""
        keep = max(0, self.position - LEAD_FRAMES) // self.grid.outputs if self._settle_to is None else 0
        while self._steps and self._first_step < min(keep, self.next):
            self._steps.popleft()
            self._first_step += 1
        flags = self.endpoint.voice_ms // self.endpointing.vad_frame_ms - self._first_flag
        if flags > 0:
            del self._flags[:flags]
            self._first_flag += flags

    def seconds(self, ms: float) -> float:
        """The session's time, for one of this segment in milliseconds."""
        return round(self.offset_s + ms / 1000, 3)

    def frame_seconds(self, frame: int) -> float:
        return self.seconds(frame * self.endpointing.model_frame_ms)
