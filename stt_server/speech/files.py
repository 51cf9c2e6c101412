"""Audio files to float samples: wav, aiff, flac, ogg (opus, vorbis, flac) and mp3, from a path, bytes or an open file.

What a file is, its first bytes say; names and content types lie (one assistant posts wav labelled audio/x-flac). A file
is read forward in blocks of a second, so a long one costs no more memory than a short one. libsndfile decodes.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import numpy as np
import soundfile

from stt_server.errors import BadAudio, BadInput, NotFound, TooLarge, Unsupported
from stt_server.speech.pcm import MAX_CHANNELS, check_samples, mix_to_mono, to_int16
from stt_server.speech.resample import MAX_RATE, MIN_RATE, resampler
from stt_server.speech.sniff import container_of, open_ended_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.speech.pcm import Samples

Source = str | Path | bytes | BinaryIO

BLOCK_S = 1.0

_UNKNOWN_FRAMES = 1 << 48  # libsndfile gives a huge count when a header leaves the length open


class AudioReader:
    """An open audio file: what its header says, and its samples once, in order. Get one from `open_audio`."""

    def __init__(self, file: soundfile.SoundFile, container: str, name: str, owned: BinaryIO | None) -> None:
        self.container = container
        self.sample_rate = int(file.samplerate)
        self.channels = int(file.channels)
        known = 0 < file.frames < _UNKNOWN_FRAMES
        self.duration_s: float | None = file.frames / self.sample_rate if known else None
        self._file, self._name, self._owned = file, name, owned

    def blocks(self) -> Iterator[Samples]:
        """Mono float32 blocks `(samples,)` at the file's own rate. Raises `BadAudio` when damaged or empty."""
        frames, read_s = max(1, int(self.sample_rate * BLOCK_S)), 0.0
        while True:
            try:
                block = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise BadAudio(f"{self._name}: {self.container} data damaged or cut {read_s:.1f} s in") from error
            if not len(block):
                break
            check_samples(block)
            yield mix_to_mono(block)
            read_s += len(block) / self.sample_rate
        if not read_s:
            raise BadAudio(f"{self._name}: the {self.container} file holds no samples")

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


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """soundfile seeks to where it already is after every block of a seekable file.

    That fails for a flac whose header leaves the length open, and resets compressed decoders for nothing.
    """

    def seekable(self) -> bool:
        return False


class _Tolerant:
    """The stream that libsndfile reads through, which must not raise inside its callbacks.

    A damaged header can ask for a seek to nowhere: the position stays, and libsndfile sees that it did. And the size
    field at `open_end_at`, where there is one, reads as "to the end".
    """

    def __init__(self, stream: BinaryIO, open_end_at: int | None = None) -> None:
        self._stream, self._open_end_at = stream, open_end_at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with suppress(OSError, ValueError):
            self._stream.seek(offset, whence)
        return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int = -1) -> bytes:
        at, data = self._stream.tell(), self._stream.read(size)
        if self._open_end_at is None or at + len(data) <= self._open_end_at or at >= self._open_end_at + 4:
            return data
        patched = bytearray(data)
        for i in range(max(at, self._open_end_at), min(at + len(data), self._open_end_at + 4)):
            patched[i - at] = 0xFF
        return bytes(patched)


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
    head = stream.read(64)
    container = container_of(head, name)
    open_end_at = open_ended_size(stream, name) if container == "wav" else None
    stream.seek(0)
    try:
        file = _ForwardFile(_Tolerant(stream, open_end_at))
    except soundfile.LibsndfileError as error:
        raise BadAudio(f"{name}: the {container} header is damaged, cut, or of a kind not understood") from error
    reader = AudioReader(file, container, name, owned)
    _check_shape(reader, name)
    return reader


def _check_shape(reader: AudioReader, name: str) -> None:
    if not MIN_RATE <= reader.sample_rate <= MAX_RATE:
        allowed = f"{MIN_RATE} to {MAX_RATE} Hz"
        raise Unsupported(f"{name}: sampled at {reader.sample_rate} Hz; we read {allowed}", field="sample_rate")
    if reader.channels > MAX_CHANNELS:
        raise Unsupported(f"{name}: {reader.channels} channels; we read up to {MAX_CHANNELS}", field="channels")
