"""Decoding clips to know them: how long, how loud, whether there is speech, and marks by which copies are found.

Clips are decoded in processes beside this one, one clip at a time each, so that a file that brings its decoder down or
makes it run for ever costs one process and is named.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from stt_server.errors import BadAudio, EarloopError, TimedOut
from stt_server.speech.files import open_audio
from stt_server.speech.pcm import to_int16
from stt_server.speech.resample import resampler
from stt_server.speech.vad import FRAME_MS, SAMPLE_RATE, Vad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from stt_server.speech.pcm import Samples

    Progress = Callable[[int, int], None]  # clips done, clips in all

FULL_SCALE = 0.999
CLIP_DEADLINE_S = 120.0  # an hour of audio takes some ten seconds
START_DEADLINE_S = 120.0  # of a process, which imports for seconds on a busy machine: no clip is to blame for that
OUTLINE_POINTS = 64
QUIETEST = 1e-8  # power, -80 dB: below it silence is silence


@dataclass(frozen=True, slots=True)
class Heard:
    """What decoding a clip tells."""

    duration_s: float
    peak: float
    clipped_share: float
    speech_s: float  # by the same voice activity detection as on the server
    sample_rate: int
    channels: int
    content: bytes  # a hash of the samples: the same in wav and flac
    outline: bytes  # its loudness over time at 64 points, without its level: near copies have near outlines


Outcome = Heard | EarloopError


def listen(path: Path) -> Heard:
    """Decode a file in blocks of a second. Raises NotFound, BadAudio, Unsupported."""
    samples = clipped = speech = 0
    peak, content, powers = 0.0, hashlib.sha256(), []
    with open_audio(path) as audio:
        convert, vad = resampler(audio.sample_rate, SAMPLE_RATE), Vad()
        state, hop = convert.initial(), max(1, audio.sample_rate * FRAME_MS // 1000)
        for block in audio.blocks():
            level = np.abs(block)
            samples += len(block)
            peak = max(peak, float(level.max()))
            clipped += int(np.count_nonzero(level >= FULL_SCALE))
            content.update(to_int16(block).astype("<i2").tobytes())
            powers.append(powers_of(block, hop))
            piece, state = convert(block, state)
            speech += int(vad.process(piece).sum())
        speech += int(vad.process(convert.flush(state)).sum())
        rate, channels = audio.sample_rate, audio.channels
    shape = (samples / rate, peak, clipped / samples, speech * FRAME_MS / 1000, rate, channels)
    return Heard(*shape, content.digest(), outline_of(np.concatenate(powers)))


def listen_to_all(
    paths: Iterable[Path], workers: int = 0, progress: Progress = lambda done, of: None
) -> dict[Path, Outcome]:
    """What each file holds, or the error that says why not, decoded in `workers` processes; 0 decodes in this one."""
    todo = list(dict.fromkeys(paths))
    heard: dict[Path, Outcome] = {}
    for path, outcome in _heard_apart(todo, workers) if workers else ((path, _try_to_listen(path)) for path in todo):
        heard[path] = outcome
        progress(len(heard), len(todo))
    return heard


def powers_of(block: Samples, hop: int) -> Samples:
    """Mean power of every whole hop of a block, of the block where it is shorter."""
    whole = len(block) // hop * hop
    frames = block[:whole].reshape(-1, hop) if whole else block[None]
    powers: Samples = np.mean(np.square(frames), axis=1)
    return powers


def outline_of(powers: Samples) -> bytes:
    """64 levels in dB less their mean, scaled to the largest, as signed bytes."""
    decibels = 10 * np.log10(np.maximum(powers, QUIETEST))
    points = np.interp(np.linspace(0, len(decibels) - 1, OUTLINE_POINTS), np.arange(len(decibels)), decibels)
    points -= points.mean()
    scaled: npt.NDArray[np.int8] = np.rint(127 * points / max(float(np.abs(points).max()), 1e-9)).astype(np.int8)
    return scaled.tobytes()


def _try_to_listen(path: Path) -> Outcome:
    try:
        return listen(path)
    except EarloopError as error:
        return error


class _Listener:
    """A process that decodes one clip at a time. Made by spawning: forking a process with threads may lock up."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.path: Path | None = None
        self.until = monotonic() + START_DEADLINE_S
        self.is_ready = self.is_dead = False

    def give(self, path: Path) -> None:
        self.path = path
        if self.is_ready:
            self.until = monotonic() + CLIP_DEADLINE_S
        with suppress(BrokenPipeError):  # it is dead, which `take` finds
            self.pipe.send(path)

    def take(self) -> Outcome | None:
        """The outcome of the clip given last; an error where the process is no more, None where it has only begun."""
        try:
            outcome: Outcome | None = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.is_dead = True
            return BadAudio(f"{self.path}: its decoder crashed on it; convert it to wav or take it out")
        if outcome is None:
            self.is_ready, self.until = True, monotonic() + CLIP_DEADLINE_S
        return outcome

    def end(self) -> None:
        self.process.kill()
        self.process.join(10)
        self.pipe.close()


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    with suppress(EOFError, ConnectionError):
        pipe.send(None)  # from here on the clock of a clip runs
        while True:
            pipe.send(_try_to_listen(pipe.recv()))


def _heard_apart(paths: Sequence[Path], workers: int) -> Iterator[tuple[Path, Outcome]]:
    """Outcomes as they come in."""
    waiting = iter(paths)
    listeners = [_Listener() for _ in range(min(workers, len(paths)))]
    try:
        for listener, path in zip(listeners, islice(waiting, len(listeners)), strict=True):
            listener.give(path)
        while listeners:
            wait([each.pipe for each in listeners], max(0.0, min(each.until for each in listeners) - monotonic()))
            for at, listener in enumerate(listeners):
                if (done := _result(listener)) is not None:
                    yield done
                    listeners[at] = _next(listener, next(waiting, None))
            listeners = [each for each in listeners if each.path]
    finally:
        for listener in listeners:
            listener.end()


def _result(listener: _Listener) -> tuple[Path, Outcome] | None:
    """What a listener has to say about its clip, if anything yet."""
    assert listener.path is not None
    if listener.pipe.poll():
        outcome = listener.take()
        return None if outcome is None else (listener.path, outcome)
    if monotonic() < listener.until:
        return None
    listener.process.kill()
    listener.is_dead = True
    told = f"{listener.path}: not decoded within {CLIP_DEADLINE_S:g} s; cut it or take it out"
    return listener.path, TimedOut(told)


def _next(listener: _Listener, path: Path | None) -> _Listener:
    """The listener with its next clip; another one where it is dead, at its end where there is no clip left."""
    listener.path = None
    if path is None:
        listener.end()
        return listener
    if listener.is_dead:
        listener.end()
        listener = _Listener()
    listener.give(path)
    return listener
