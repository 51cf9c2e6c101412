"""What libsndfile does not read, decoded by FFmpeg through PyAV: mp4, m4a, webm, matroska, MPEG program streams, aac.

PyAV is the extra `av` and is loaded when the first such file comes. Which demuxer reads a file is our choice by its
first bytes, and which decoders may run is a short list: left to itself FFmpeg also reads playlists that name other
files and addresses, and codecs that nobody has looked at for years.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import numpy as np

from stt_server.errors import BadAudio, Unsupported
from stt_server.speech.sndfile import Tolerant
from stt_server.speech.sniff import UNDERSTOOD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import BinaryIO

    import av
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

    from stt_server.speech.pcm import Samples

DEMUXERS: Final = {"mp4": "mov", "webm": "matroska", "mpeg": "mpeg", "aac": "aac"}  # by the names that `sniff` gives
CODECS: Final = ("aac", "alac", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus", "libopus", "vorbis")
MISSING: Final = "PyAV is not installed here; pip install 'earloop[av]'"

_OPTIONS: Final = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"}
_BLOCK_S: Final = 1.0
MAX_FRAME_VALUES: Final = 1 << 20  # samples times channels; twice the most of flac. Headers of alac may ask for 2^27


class ContainerFile:
    """The best audio track of a file. `kind` is a key of `DEMUXERS`, `name` what messages call the file.

    Raises Unsupported where PyAV is missing or no track has a codec of `CODECS`, BadAudio for a damaged header.
    """

    def __init__(self, stream: BinaryIO, kind: str, name: str) -> None:
        self._kind, self._name = kind, name
        self._av = _pyav(kind, name)
        self._file = self._open(Tolerant(stream))
        try:
            self._track = self._best_track()
            self._frames = self._decoded()
            self._first = next(self._frames, None)  # its rate is the one that counts: headers of HE-AAC say half
            if self._first is None:
                raise BadAudio(f"{name}: the {kind} file holds no samples")
        except BaseException:
            self._file.close()
            raise
        self.sample_rate = self._first.sample_rate
        self.channels = self._first.layout.nb_channels
        length_us = self._file.duration
        self.duration_s = length_us / 1e6 if length_us and length_us > 0 else None

    def blocks(self) -> Iterator[Samples]:
        """Float32 blocks `(frames, channels)` of about a second, once. Raises BadAudio where the data are damaged."""
        waiting: list[Samples] = []
        samples = 0
        for frame in self._all_frames():
            waiting.append(_samples(frame))
            samples += frame.samples
            if samples >= self.sample_rate * _BLOCK_S:
                yield np.concatenate(waiting)
                waiting, samples = [], 0
        if samples:
            yield np.concatenate(waiting)

    def close(self) -> None:
        self._file.close()

    def _open(self, stream: Tolerant) -> av.container.InputContainer:
        try:
            file: av.container.InputContainer = self._av.open(
                stream, "r", format=DEMUXERS[self._kind], options=_OPTIONS, metadata_errors="replace"
            )
        except (self._av.FFmpegError, ValueError) as error:
            raise BadAudio(
                f"{self._name}: the {self._kind} header is damaged, cut, or of a kind not understood"
            ) from error
        return file

    def _best_track(self) -> AudioStream:
        track = cast("AudioStream | None", self._file.streams.best("audio"))
        codec = getattr(track, "codec_context", None)
        if track is None or codec is None or codec.name not in CODECS:
            found = codec.name if codec else "none that is known"
            raise Unsupported(
                f"{self._name}: {self._kind} with audio in a codec we do not read ({found}); {UNDERSTOOD}"
            )
        codec.thread_count = 1
        codec.options = {"max_samples": str(MAX_FRAME_VALUES)}
        return track

    def _all_frames(self) -> Iterator[AudioFrame]:
        """The first frame and those behind it, all of one shape."""
        frame = self._first
        while frame is not None:
            if (frame.sample_rate, frame.layout.nb_channels) != (self.sample_rate, self.channels):
                raise BadAudio(f"{self._name}: the sound changes its sample rate or channels; send each part by itself")
            yield frame
            frame = next(self._frames, None)

    def _decoded(self) -> Iterator[AudioFrame]:
        read_s = 0.0
        try:
            for frame in self._file.decode(self._track):
                yield frame
                read_s += frame.samples / max(1, frame.sample_rate)
        except (self._av.FFmpegError, ValueError) as error:
            raise BadAudio(f"{self._name}: {self._kind} data damaged or cut {read_s:.1f} s in") from error


def _samples(frame: AudioFrame) -> Samples:
    """A frame as float32 `(samples, channels)`; decoders give floats or integers, planar or interleaved."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    return values.astype(np.float32) / np.float32(1 << (8 * values.dtype.itemsize - 1))


def _pyav(kind: str, name: str) -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise Unsupported(f"{name}: looks like {kind}, and {MISSING}, or {UNDERSTOOD}") from error
    return av
