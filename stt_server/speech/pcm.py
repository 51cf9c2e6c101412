"""Raw audio bytes to float samples and back: 16-bit and float PCM, mu-law and A-law, one or more channels.

A network frame may end in the middle of a sample, so decoding is a stage `(bytes, rest) → (samples, rest)`: the bytes
of the last incomplete sample frame are handed back and go in front of the next call. Any cutting of a byte stream
gives the same samples to the bit.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from stt_server.errors import BadAudio, BadOption

Samples = npt.NDArray[np.float32]

BYTES_PER_SAMPLE = {"s16le": 2, "f32le": 4, "mulaw": 1, "alaw": 1}
MIN_RATE, MAX_RATE = 8_000, 48_000
MAX_CHANNELS = 8

# Float samples belong in ±1 and a hot signal overshoots a little. Far above that the sender forgot to divide 16-bit
# values by 32768, and recognising such audio would only give nonsense.
MAX_FLOAT = 16.0


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How the bytes of a raw stream are to be read. Raises `BadOption` naming the field that is impossible."""

    encoding: str = "s16le"
    sample_rate: int = 16_000
    channels: int = 1

    def __post_init__(self) -> None:
        if self.encoding not in BYTES_PER_SAMPLE:
            raise BadOption(_unknown_encoding(self.encoding), field="encoding")
        _check_range("sample_rate", self.sample_rate, MIN_RATE, MAX_RATE)
        _check_range("channels", self.channels, 1, MAX_CHANNELS)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return BYTES_PER_SAMPLE[self.encoding] * self.channels

    @property
    def bytes_per_second(self) -> int:
        return self.frame_bytes * self.sample_rate


def decode_pcm(fmt: AudioFormat, data: bytes, rest: bytes = b"") -> tuple[Samples, bytes]:
    """Decode `rest + data` to mono float32 `(samples,)` in ±1, channels mixed by their mean, and the new `rest`.

    Raises `BadAudio` for float samples that are not finite or far outside ±1.
    """
    data = rest + data if rest else data
    whole = len(data) - len(data) % fmt.frame_bytes
    values = _decode_values(fmt.encoding, memoryview(data)[:whole])
    return mix_to_mono(values.reshape(-1, fmt.channels)), bytes(data[whole:])


def encode_pcm(fmt: AudioFormat, samples: Samples) -> bytes:
    """Encode mono `(samples,)`, copied to every channel, or `(samples, channels)`. Values outside ±1 are clipped."""
    values = np.asarray(samples, dtype=np.float32)
    if values.ndim == 1:
        values = np.repeat(values[:, None], fmt.channels, axis=1)
    if values.ndim != 2 or values.shape[1] != fmt.channels:
        raise BadAudio(f"cannot encode samples of shape {values.shape} as {fmt.channels} channel(s)")
    check_samples(values)
    if fmt.encoding == "f32le":
        return values.astype("<f4").tobytes()
    if fmt.encoding == "s16le":
        return to_int16(values).astype("<i2").tobytes()
    return _nearest_codes(fmt.encoding, values).tobytes()


def to_int16(samples: Samples) -> npt.NDArray[np.int16]:
    """Samples in ±1 as 16-bit integers, rounded and clipped; the exact inverse of decoding s16le."""
    rounded: npt.NDArray[np.int16] = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    return rounded


def mix_to_mono(values_NC: Samples) -> Samples:
    """Mean over the channels of `(samples, channels)`."""
    channels = values_NC.shape[1]
    if channels == 1:
        return values_NC[:, 0]
    # Added channel by channel: the order of a numpy reduction over a short axis depends on the length of the chunk.
    total = values_NC[:, 0].copy()
    for channel in range(1, channels):
        total += values_NC[:, channel]
    return total / np.float32(channels)


def check_samples(values: Samples) -> None:
    """Raise `BadAudio` unless every value is finite and could be meant as a sample in ±1."""
    if values.size == 0:
        return
    peak = np.abs(values).max()  # NaN when any value is
    if not np.isfinite(peak):
        raise BadAudio("the audio holds samples that are not finite (NaN or infinity); send finite floats in ±1")
    if peak > MAX_FLOAT:
        raise BadAudio(f"float samples must lie in ±1 but one is {peak:g}; divide 16-bit values by 32768 first")


def _decode_values(encoding: str, data: memoryview) -> Samples:
    if encoding == "s16le":
        return np.frombuffer(data, "<i2").astype(np.float32) * np.float32(1 / 32768)
    if encoding == "f32le":
        values = np.frombuffer(data, "<f4").astype(np.float32)
        check_samples(values)
        return values
    return _companding_table(encoding)[np.frombuffer(data, np.uint8)]


@lru_cache(maxsize=2)
def _companding_table(encoding: str) -> Samples:
    """The 256 values of a G.711 law, built from the segment formula of ITU-T G.711 (1988), tables 1a to 2b.

    A code is sign, 3-bit segment `e`, 4-bit step `m`, sent inverted: all bits in mu-law, every second one (0x55) in
    A-law. Written at 16-bit scale: mu-law steps start at 8 behind a bias of 132, A-law steps at 16 with the first two
    segments equally wide.
    """
    code = np.arange(256)
    code = code ^ (0xFF if encoding == "mulaw" else 0x55)
    segment, step = (code >> 4) & 7, code & 15
    if encoding == "mulaw":
        magnitude = ((8 * step + 132) << segment) - 132
        negative = code & 0x80 != 0
    else:
        magnitude = np.where(segment == 0, 16 * step + 8, (16 * step + 264) << np.maximum(segment - 1, 0))
        negative = code & 0x80 == 0
    return (np.where(negative, -magnitude, magnitude) / 32768).astype(np.float32)


def _nearest_codes(encoding: str, values: Samples) -> npt.NDArray[np.uint8]:
    table = _companding_table(encoding)
    order = np.argsort(table, kind="stable")
    levels = table[order]
    return order[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)].astype(np.uint8)


def _check_range(field: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:  # a bool is an int too, but not here
        raise BadOption(f"{field} must be a whole number from {low} to {high}, not {value!r}", field=field)


def _unknown_encoding(encoding: str) -> str:
    allowed = ", ".join(BYTES_PER_SAMPLE)
    near = difflib.get_close_matches(str(encoding), BYTES_PER_SAMPLE, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"encoding must be one of {allowed}, not {encoding!r}{hint}"
