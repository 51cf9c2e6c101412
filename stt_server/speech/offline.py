"""Files to transcripts: the streaming way in a loop, many files stacked as a server stacks streams.

Files are read in blocks, so an hour-long recording takes no more memory than a short one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import EarloopError
from stt_server.speech.files import open_audio
from stt_server.speech.recognizer import as_bytes, offline
from stt_server.speech.resample import resampler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from stt_server.messages import Open, Transcript
    from stt_server.speech.recognizer import Recognizer
    from stt_server.speech.stream import Stream

    Source = Path | BinaryIO

TOGETHER = 16  # of which a batch still gains; more only cost memory


def transcribe_files(
    recognizer: Recognizer, sources: Iterable[Source], options: Open | None = None, *, together: int = TOGETHER
) -> Iterator[Transcript | EarloopError]:
    """What is said in each of the sources, in their order; for one that cannot be read the error that says why."""
    waiting = enumerate(sources)
    reading: list[_Reading] = []
    done: dict[int, Transcript | EarloopError] = {}
    told = 0
    while reading := reading + _more(recognizer, waiting, options, together - len(reading), done):
        reading = [each for each in reading if each.fill(done)]
        if ready := [each.stream for each in reading if each.stream.ready]:
            recognizer.advance(ready)
        while told in done:
            yield done.pop(told)
            told += 1
    yield from (done[index] for index in sorted(done))  # the last ones, where they could not begin


def _more(
    recognizer: Recognizer,
    waiting: Iterator[tuple[int, Source]],
    options: Open | None,
    room: int,
    done: dict[int, Transcript | EarloopError],
) -> list[_Reading]:
    """Up to `room` more readings, none only when no source is left. One that cannot begin is done."""
    begun: list[_Reading] = []
    while len(begun) < room and (item := next(waiting, None)) is not None:
        try:
            begun.append(_Reading(recognizer, *item, options))
        except EarloopError as error:
            done[item[0]] = error
    return begun


class _Reading:
    """One file on its way into its stream."""

    def __init__(self, recognizer: Recognizer, index: int, source: Source, options: Open | None) -> None:
        self._recognizer, self._index = recognizer, index
        self.stream: Stream = recognizer.open(offline(options))
        self._audio = open_audio(source)
        self._blocks = self._audio.blocks()
        self._convert = resampler(self._audio.sample_rate)
        self._state = self._convert.initial()
        self._ended = False

    def fill(self, done: dict[int, Transcript | EarloopError]) -> bool:
        """Feed the stream until it has a step to take. False when the file is over, its outcome in `done`."""
        try:
            while not self.stream.ready and not self._ended:
                self._feed()
        except EarloopError as error:
            done[self._index] = error
        else:
            if not self.stream.done:
                return True
            done[self._index] = self._recognizer.transcript(self.stream)
        self._audio.close()
        return False

    def _feed(self) -> None:
        block = next(self._blocks, None)
        if block is not None:
            samples, self._state = self._convert(block, self._state)
            self._recognizer.accept(self.stream, as_bytes(samples))
            return
        self._recognizer.accept(self.stream, as_bytes(self._convert.flush(self._state)))
        self._recognizer.finish(self.stream)
        self._ended = True
