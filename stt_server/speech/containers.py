"""What libsndfile does not read, decoded by FFmpeg through PyAV: mp4, m4a, webm, matroska, MPEG program streams, aac.

PyAV is the extra `av` and is loaded when the first such file comes. Which demuxer reads a file is our choice by its
first bytes, and which decoders may run is a short list: left to itself FFmpeg also reads playlists that name other
files and addresses, and codecs that nobody has looked at for years.

What arrives while it is decoded (`arriving`) is read by FFmpeg in all formats but wav: libsndfile wants to seek.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

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
STREAMED: Final = {
    **DEMUXERS,
    **dict.fromkeys(("ogg/opus", "ogg/vorbis", "ogg/flac"), "ogg"),
    "flac": "flac",
    "mp3": "mp3",
}
CODECS: Final = ("aac", "alac", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus", "libopus", "vorbis")
MISSING: Final = "PyAV is not installed here; pip install 'earloop[av]'"

_OPTIONS: Final = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"}
# Of what arrives little may be read ahead before the first sample comes out; headers say what is in these formats.
_STREAMED: Final = {**_OPTIONS, "probesize": "2048", "analyzeduration": "0"}
_STREAMED_BYTES: Final = 4096  # asked for at once
_BLOCK_S: Final = 1.0
MAX_FRAME_VALUES: Final = 1 << 20  # samples times channels; twice the most of flac. Headers of alac may ask for 2^27


class Readable(Protocol):
    """A source that is read forward only."""

    def read(self, size: int = -1) -> bytes: ...


class ContainerFile:
    """The best audio track of a file. `kind` is a key of `DEMUXERS`, `name` what messages call the file.

    With `streamed` it is read forward, `kind` is a key of `STREAMED`, and every frame is a block.

    Raises Unsupported where PyAV is missing or no track has a codec of `CODECS`, BadAudio for a damaged header.
    """

    def __init__(self, stream: BinaryIO | Readable, kind: str, name: str, *, streamed: bool = False) -> None:
        self._kind, self._name = kind, name
        self._block_s = 0.0 if streamed else _BLOCK_S
        self._av = pyav(kind, name)
        self._file = self._open_forward(stream) if streamed else self._open(Tolerant(cast("BinaryIO", stream)))
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
            if samples >= self.sample_rate * self._block_s:
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

    def _open_forward(self, stream: BinaryIO | Readable) -> av.container.InputContainer:
        try:
            file: av.container.InputContainer = self._av.open(
                stream,
                "r",
                format=STREAMED[self._kind],
                options=_STREAMED,
                metadata_errors="replace",
                buffer_size=_STREAMED_BYTES,
            )
        except (self._av.FFmpegError, ValueError) as error:
            raise BadAudio(
                f"{self._name}: the {self._kind} header is damaged, not at the beginning, or of a kind not understood"
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


class OpusPackets:
    """Opus packets without a container, as they leave an encoder (RFC 6716). Raises Unsupported without PyAV."""

    sample_rate: Final = 48_000

    def __init__(self, channels: int) -> None:
        self._av = pyav("opus", "the audio")
        if channels not in (1, 2):
            raise Unsupported(f"opus packets hold 1 or 2 channels, not {channels}", field="channels")
        self._codec = self._av.CodecContext.create("opus", "r")
        self._codec.sample_rate = self.sample_rate
        self._codec.layout = {1: "mono", 2: "stereo"}[channels]

    def decode(self, packet: bytes) -> Samples:
        """Float32 `(samples, channels)`. Raises BadAudio."""
        try:
            frames = self._codec.decode(self._av.Packet(packet))
        except (self._av.FFmpegError, ValueError) as error:
            raise BadAudio("the audio: a message is no opus packet; send each packet in one message") from error
        blocks = [_samples(frame) for frame in frames]
        return np.concatenate(blocks) if blocks else np.zeros((0, 1), np.float32)


def _samples(frame: AudioFrame) -> Samples:
    """A frame as float32 `(samples, channels)`; decoders give floats or integers, planar or interleaved."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return values.astype(np.float32, copy=False)
    return values.astype(np.float32) / np.float32(1 << (8 * values.dtype.itemsize - 1))


def pyav(kind: str, name: str) -> ModuleType:
    """The library. Raises Unsupported where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise Unsupported(f"{name}: looks like {kind}, and {MISSING}, or {UNDERSTOOD}") from error
    return av
