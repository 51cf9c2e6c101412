"""Audio files read forward by libsndfile: wav, aiff, flac, ogg (opus, vorbis, flac) and mp3."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING

import soundfile

from stt_server.errors import BadAudio
from stt_server.speech.sniff import open_ended_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from stt_server.speech.pcm import Samples

_BLOCK_S = 1.0
_UNKNOWN_FRAMES = 1 << 48  # libsndfile gives a huge count when a header leaves the length open


class SoundFile:
    """`kind` is what `sniff.container_of` saw, `name` what messages call the file. Raises BadAudio for its header."""

    def __init__(self, stream: BinaryIO, kind: str, name: str) -> None:
        self._kind, self._name = kind, name
        open_end_at = open_ended_size(stream, name) if kind == "wav" else None
        stream.seek(0)
        try:
            self._file = _ForwardFile(Tolerant(stream, open_end_at))
        except soundfile.LibsndfileError as error:
            raise BadAudio(f"{name}: the {kind} header is damaged, cut, or of a kind not understood") from error
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        known = 0 < self._file.frames < _UNKNOWN_FRAMES
        self.duration_s: float | None = self._file.frames / self.sample_rate if known else None

    def blocks(self) -> Iterator[Samples]:
        """Float32 blocks `(frames, channels)` of at most a second, once. Raises BadAudio where the data are damaged."""
        frames, read_s = max(1, int(self.sample_rate * _BLOCK_S)), 0.0
        while True:
            try:
                block = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise BadAudio(f"{self._name}: {self._kind} data damaged or cut {read_s:.1f} s in") from error
            if not len(block):
                return
            yield block
            read_s += len(block) / self.sample_rate

    def close(self) -> None:
        self._file.close()


class _ForwardFile(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """soundfile seeks to where it already is after every block of a seekable file.

    That fails for a flac whose header leaves the length open, and resets compressed decoders for nothing.
    """

    def seekable(self) -> bool:
        return False


class Tolerant:
    """The stream that a decoder reads through, which must not raise inside its callbacks.

    A damaged header can ask for a seek to nowhere: the position stays, and the decoder sees that it did. And the size
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
