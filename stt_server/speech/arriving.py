"""Audio with a header, or in packets, decoded while it arrives.

    loop    pipe.put(bytes) … pipe.end()
    thread  for block in arriving(pipe, coded, channels): 16 kHz float samples of each channel

Decoding reads, and waits where nothing is there yet, so it belongs into a thread of its own. A reader that is about to
wait has decoded all that came before: `pipe.hungry` is called then.

wav is read here, since its samples are raw behind the header; everything else by FFmpeg (`containers`).
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from stt_server.errors import BadAudio, TimedOut, Unsupported
from stt_server.speech.containers import STREAMED, ContainerFile, OpusPackets
from stt_server.speech.pcm import MAX_CHANNELS, AudioFormat, check_samples, decode_pcm, mix_to_mono
from stt_server.speech.resample import MAX_RATE, MIN_RATE, resampler
from stt_server.speech.sniff import container_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stt_server.speech.pcm import Samples
    from stt_server.speech.resample import Resampler, ResampleState

HEARD_RATE: Final = 16_000
HEAD_BYTES: Final = 64  # as many as tell what a file is
WAIT_S: Final = 3600.0  # nobody waits for ever; connections end long before
_WAV_CODECS: Final = {(1, 16): "s16le", (3, 32): "f32le", (6, 8): "alaw", (7, 8): "mulaw"}  # RFC 2361; tag, bits
_EXTENSIBLE: Final = 0xFFFE  # the tag is in the first bytes of an identifier further on
_MAX_CHUNK: Final = 1 << 16
_NAME: Final = "the audio"


class Pipe:
    """Bytes from one thread to another, in messages. `hungry` is called by the reader when it begins to wait."""

    def __init__(self, hungry: Callable[[], None]) -> None:
        self._hungry = hungry
        self._messages: deque[bytes] = deque()
        self._ended = False
        self._change = threading.Condition()

    def put(self, message: bytes) -> None:
        if message:
            with self._change:
                self._messages.append(message)
                self._change.notify()

    def end(self) -> None:
        """Nothing more comes."""
        with self._change:
            self._ended = True
            self._change.notify()

    def abandon(self) -> None:
        """The same, and what is there is not wanted any more."""
        with self._change:
            self._messages.clear()
            self._ended = True
            self._change.notify()

    def message(self) -> bytes:
        """The next message, or what is left of it; empty at the end. Waits. Raises TimedOut."""
        with self._change:
            if not self._messages and not self._ended:
                self._hungry()
            if not self._change.wait_for(lambda: self._messages or self._ended, WAIT_S):
                raise TimedOut(f"Nothing came for {WAIT_S:g} s.")
            return self._messages.popleft() if self._messages else b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, at least one; none at the end."""
        data = self.message()
        if 0 <= size < len(data):
            self._back(data[size:])
            data = data[:size]
        return data

    def exactly(self, size: int) -> bytes:
        """So many bytes, fewer only at the end."""
        data = b""
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        return data

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay."""
        data = self.exactly(size)
        if data:
            self._back(data)
        return data

    def _back(self, data: bytes) -> None:
        with self._change:
            self._messages.appendleft(data)


def arriving(pipe: Pipe, coded: str, channels: int, *, apart: bool) -> Iterator[list[Samples]]:
    """Blocks of 16 kHz float32 samples, one array for all channels mixed, or with `apart` one for each.

    `coded` is as `messages.Open` has it. Raises BadAudio, also where `apart` finds other than `channels` channels, and
    Unsupported for what is not read here or needs PyAV.
    """
    voices: list[_Voice] = []
    for sample_rate, block_NC in _opus(pipe, channels) if coded == "opus" else _file(pipe):
        check_samples(block_NC)
        if apart and block_NC.shape[1] != channels:
            found = block_NC.shape[1]
            raise BadAudio(f"{_NAME} has {found} channel(s), but channels={channels} was asked to be heard apart")
        heard = [block_NC[:, i] for i in range(channels)] if apart else [mix_to_mono(block_NC)]
        voices = voices or [_Voice(sample_rate) for _ in heard]
        yield [voice.hear(samples) for voice, samples in zip(voices, heard, strict=True)]
    if voices:
        yield [voice.rest() for voice in voices]


class _Voice:
    """One channel's resampling."""

    def __init__(self, sample_rate: int) -> None:
        self._convert: Resampler = resampler(sample_rate, HEARD_RATE)
        self._state: ResampleState = self._convert.initial()

    def hear(self, samples: Samples) -> Samples:
        heard, self._state = self._convert(samples, self._state)
        return heard

    def rest(self) -> Samples:
        return self._convert.flush(self._state)


def _opus(pipe: Pipe, channels: int) -> Iterator[tuple[int, Samples]]:
    packets = OpusPackets(channels)
    while packet := pipe.message():
        yield packets.sample_rate, packets.decode(packet)


def _file(pipe: Pipe) -> Iterator[tuple[int, Samples]]:
    """Sample rate and blocks `(samples, channels)` of whatever begins there; nothing where nothing came at all."""
    head = pipe.peek(HEAD_BYTES)
    if not head:
        return
    kind = container_of(head, _NAME)
    if kind == "wav":
        yield from _wav(pipe)
        return
    if kind not in STREAMED:
        raise Unsupported(f"{_NAME}: {kind} cannot be decoded while it arrives; send it as a whole file")
    file = ContainerFile(pipe, kind, _NAME, streamed=True)
    try:
        _check_shape(file.sample_rate, file.channels)
        for block_NC in file.blocks():
            yield file.sample_rate, block_NC
    finally:
        file.close()


def _wav(pipe: Pipe) -> Iterator[tuple[int, Samples]]:
    """Samples behind a wav header, to the end: the size that a stream's header states is made up."""
    encoding, sample_rate, channels = _wav_header(pipe)
    _check_shape(sample_rate, channels)
    one, rest = AudioFormat(encoding, sample_rate, 1), b""
    frame_bytes = AudioFormat(encoding, sample_rate, channels).frame_bytes
    while data := pipe.read():
        data = rest + data
        whole = len(data) - len(data) % frame_bytes
        values, _ = decode_pcm(one, data[:whole])
        rest = data[whole:]
        yield sample_rate, values.reshape(-1, channels)


def _wav_header(pipe: Pipe) -> tuple[str, int, int]:
    """Encoding, sample rate, channels; the pipe then stands at the first sample. Raises BadAudio, Unsupported."""
    if pipe.exactly(12)[8:] != b"WAVE":
        raise BadAudio(f"{_NAME}: a RIFF file but not wav")
    shape: tuple[str, int, int] | None = None
    while len(chunk := pipe.exactly(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        if chunk[:4] == b"data":
            break
        body = pipe.exactly(min(size + size % 2, _MAX_CHUNK + 1))
        if len(body) > _MAX_CHUNK:
            raise BadAudio(f"{_NAME}: the wav header has a part of {size} bytes, more than any header needs")
        shape = _wav_shape(body) if chunk[:4] == b"fmt " else shape
    else:
        raise BadAudio(f"{_NAME}: the wav file is cut inside its header")
    if shape is None:
        raise BadAudio(f"{_NAME}: the wav header does not say how its samples are coded")
    return shape


def _wav_shape(fmt: bytes) -> tuple[str, int, int]:
    """What a `fmt ` chunk says."""
    if len(fmt) < 16:
        raise BadAudio(f"{_NAME}: the wav header is damaged")
    tag, channels, sample_rate = (int.from_bytes(fmt[at:to], "little") for at, to in ((0, 2), (2, 4), (4, 8)))
    bits = int.from_bytes(fmt[14:16], "little")
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        tag = int.from_bytes(fmt[24:26], "little")
    if (tag, bits) not in _WAV_CODECS:
        can = "16-bit, 32-bit float, mu-law or A-law"
        raise Unsupported(f"{_NAME}: wav of format {tag} with {bits} bits; while it arrives we read {can}")
    return _WAV_CODECS[tag, bits], sample_rate, channels


def _check_shape(sample_rate: int, channels: int) -> None:
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise Unsupported(f"{_NAME}: sampled at {sample_rate} Hz; we read {MIN_RATE} to {MAX_RATE} Hz")
    if not 1 <= channels <= MAX_CHANNELS:
        raise Unsupported(f"{_NAME}: {channels} channels; we read up to {MAX_CHANNELS}")


def as_bytes(samples: Samples) -> bytes:
    """Little-endian floats, as a session takes `f32le`."""
    return np.ascontiguousarray(samples, "<f4").tobytes()
