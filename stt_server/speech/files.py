"""Audio files to float samples, from a path, bytes or an open file.

What a file is, its first bytes say; names and content types lie (one assistant posts wav labelled audio/x-flac). A file
is read forward in blocks of a second, so a long one costs no more memory than a short one. libsndfile decodes wav,
aiff, flac, ogg (opus, vorbis, flac) and mp3 (`sndfile`); FFmpeg, where PyAV is installed, the rest (`containers`).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import numpy as np
import soundfile

from stt_server.errors import BadAudio, BadInput, NotFound, TooLarge, Unsupported
from stt_server.speech.containers import DEMUXERS, ContainerFile
from stt_server.speech.pcm import MAX_CHANNELS, check_samples, mix_to_mono, to_int16
from stt_server.speech.resample import MAX_RATE, MIN_RATE, resampler
from stt_server.speech.sndfile import SoundFile
from stt_server.speech.sniff import container_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.speech.pcm import Samples

Source = str | Path | bytes | BinaryIO


class Opened(Protocol):
    """A file that one of the two decoding libraries has open."""

    sample_rate: int
    channels: int
    duration_s: float | None

    def blocks(self) -> Iterator[Samples]: ...

    def close(self) -> None: ...


class AudioReader:
    """An open audio file: what its header says, and its samples once, in order. Get one from `open_audio`."""

    def __init__(self, file: Opened, container: str, name: str, owned: BinaryIO | None) -> None:
        self.container = container
        self.sample_rate = file.sample_rate
        self.channels = file.channels
        self.duration_s = file.duration_s
        self._file, self._name, self._owned = file, name, owned

    def blocks(self, channel: int | None = None) -> Iterator[Samples]:
        """Float32 blocks `(samples,)` of one channel, or of all mixed, at the file's own rate.

        Raises `BadAudio` when damaged or empty.
        """
        is_empty = True
        for block in self._file.blocks():
            check_samples(block)
            yield mix_to_mono(block) if channel is None else block[:, channel]
            is_empty = False
        if is_empty:
            raise BadAudio(f"{self._name}: the {self.container} file holds no samples", field="samples")

    def close(self) -> None:
        self._file.close()
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_audio(source: Source) -> AudioReader:
    """Open a path, bytes or a seekable binary file, read from its beginning.

    Raises `NotFound` for a path that is not there, `Unsupported` for a format, rate or number of channels we do not
    read, and `BadAudio` for a header that is damaged or cut.
    """
    stream, name, owned = _open_stream(source)
    try:
        return _open_reader(stream, name, owned)
    except BaseException:
        if owned is not None:
            owned.close()
        raise


def read_audio(source: Source, sample_rate: int = 16_000, *, max_s: float | None = None) -> Samples:
    """The whole file as mono float32 `(samples,)` at `sample_rate`. Raises as `open_audio` and `blocks` do.

    A small compressed file can hold days of silence: `max_s` bounds what comes out (`TooLarge`).
    """
    with open_audio(source) as reader:
        convert = resampler(reader.sample_rate, sample_rate)
        state, pieces, read_s = convert.initial(), [], 0.0
        for block in reader.blocks():
            read_s += len(block) / reader.sample_rate
            if max_s is not None and read_s > max_s:
                raise TooLarge(f"the audio is longer than the {max_s:g} s allowed; send it in parts")
            piece, state = convert(block, state)
            pieces.append(piece)
    return np.concatenate([*pieces, convert.flush(state)])


def write_wav(target: str | Path | BinaryIO, samples: Samples, sample_rate: int = 16_000) -> None:
    """Write mono samples in ±1 as 16-bit wav."""
    soundfile.write(target, to_int16(samples), sample_rate, format="WAV", subtype="PCM_16")


def write_flac(target: str | Path | BinaryIO, samples: Samples, sample_rate: int = 16_000) -> None:
    """Write mono samples in ±1 as 16-bit flac: the same samples as `write_wav`, in about half the bytes."""
    soundfile.write(target, to_int16(samples), sample_rate, format="FLAC", subtype="PCM_16")


def _open_stream(source: Source) -> tuple[BinaryIO, str, BinaryIO | None]:
    """The stream, what to call it in a message, and the stream again if closing it is up to us."""
    if isinstance(source, bytes):
        return io.BytesIO(source), "the audio", None
    if not isinstance(source, str | Path):
        return source, "the audio", None
    path = Path(source)
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"{path}: there is no such file") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from error
    return stream, str(path), stream


def _open_reader(stream: BinaryIO, name: str, owned: BinaryIO | None) -> AudioReader:
    stream.seek(0)
    kind = container_of(stream.read(64), name)
    stream.seek(0)
    file: Opened = (ContainerFile if kind in DEMUXERS else SoundFile)(stream, kind, name)
    try:
        _check_shape(file, name)
    except BaseException:
        file.close()
        raise
    return AudioReader(file, kind, name, owned)


def _check_shape(file: Opened, name: str) -> None:
    if not MIN_RATE <= file.sample_rate <= MAX_RATE:
        allowed = f"{MIN_RATE} to {MAX_RATE} Hz"
        raise Unsupported(f"{name}: sampled at {file.sample_rate} Hz; we read {allowed}", field="sample_rate")
    if file.channels > MAX_CHANNELS:
        raise Unsupported(f"{name}: {file.channels} channels; we read up to {MAX_CHANNELS}", field="channels")
