"""Three ways to write 16-bit samples small, with no more than numpy: exact, mu-law and ADPCM.

    exact   two bytes a sample: differences of neighbours, high bytes before low ones, for a general compressor
    mulaw   one byte: ITU-T G.711's curve, without its segments
    adpcm   half a byte: what a line through the last two samples misses, in steps that follow the signal

ADPCM goes back to Cummiskey, Jayant & Flanagan 1973, "Adaptive quantization in differential PCM coding of speech"; the
steps move as in IMA's recommendation of 1992. Ours is a form of its own: blocks of BLOCK samples that know nothing of
one another, so that numpy codes a sample of all blocks at once, each with the best of PREDICTORS. All arithmetic is in
whole numbers, so every machine decodes the same samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pcm = NDArray[np.int16]
    Coded = NDArray[np.uint8]
    Whole = NDArray[np.int32]

MU = 255.0
FULL = 32768.0

BLOCK = 1024
HEAD = np.dtype([("samples", "<i2", 2), ("step", "u1"), ("predictor", "u1")])
PREDICTORS: Whole = np.array([(64, 0), (96, -40), (115, -58), (122, -60)], np.int32)  # of the last two samples, by 64
STEPS: Whole = np.unique(np.round(2.0 * 1.1 ** np.arange(102)).clip(2, 32767).astype(np.int32))
MOVES: Whole = np.array([-1, -1, -1, -1, 2, 4, 6, 8], np.int32)  # along STEPS, by the size of the last code
LISTENED = 64  # samples of a block that choose its first step


@dataclass(frozen=True, slots=True)
class Codec:
    """`encode` samples (n,) into bytes and `decode` bytes and n into samples; `sample_bytes` is what one costs."""

    sample_bytes: float
    encode: Callable[[Pcm], Coded]
    decode: Callable[[Coded, int], Pcm]


def codec(name: str) -> Codec:
    """Raises BadInput for a name that this version does not know."""
    if name not in CODECS:
        raise BadInput(f"there is no encoding {name!r}; there are {', '.join(CODECS)}", field="encoding")
    return CODECS[name]


def snr_db(samples: Pcm, heard: Pcm) -> float:
    """How far what was lost lies below the samples; infinite where nothing was."""
    signal, lost = (float(np.square(each, dtype=np.float64).sum()) for each in (samples, samples - heard.astype(float)))
    return 10 * float(np.log10(signal / lost)) if lost and signal else float("inf")


def _encode_exact(samples: Pcm) -> Coded:
    steps = np.diff(samples.view(np.uint16), prepend=np.uint16(0))  # wraps around, and back
    return np.concatenate([(steps >> 8).astype(np.uint8), (steps & 255).astype(np.uint8)])


def _decode_exact(coded: Coded, count: int) -> Pcm:
    steps = (coded[:count].astype(np.uint16) << 8) | coded[count : 2 * count]
    return np.cumsum(steps, dtype=np.uint16).view(np.int16)


def _encode_mulaw(samples: Pcm) -> Coded:
    heights = samples.astype(np.float64) / FULL
    curved = np.sign(heights) * np.log1p(MU * np.abs(heights)) / np.log1p(MU)
    coded: Coded = (np.round(curved * 127) + 128).astype(np.uint8)
    return coded


def _decode_mulaw(coded: Coded, count: int) -> Pcm:
    curved = (np.arange(256) - 128) / 127
    heights = np.sign(curved) * np.expm1(np.abs(curved) * np.log1p(MU)) / MU
    samples: Pcm = np.round(heights * FULL).clip(-FULL, FULL - 1).astype(np.int16)
    return np.take(samples, coded[:count])


def _encode_adpcm(samples: Pcm) -> Coded:
    """Heads of all blocks, then their codes sample by sample, two in a byte."""
    blocks = np.pad(samples, (0, -len(samples) % BLOCK)).reshape(-1, BLOCK).astype(np.int32)
    heads = np.zeros(len(blocks), HEAD)
    heads["samples"] = blocks[:, :2]
    heads["predictor"] = _best_predictor(blocks)
    heads["step"] = _first_step(blocks, heads["predictor"])
    coder = _Coder(heads)
    codes = np.zeros((BLOCK, len(blocks)), np.uint8)
    for at in range(2, BLOCK):
        codes[at] = coder.encode(blocks[:, at])
    return np.concatenate([heads.view(np.uint8), (codes[2::2] << 4 | codes[3::2]).ravel()])


def _decode_adpcm(coded: Coded, count: int) -> Pcm:
    number = -(-count // BLOCK)
    heads = coded[: number * HEAD.itemsize].view(HEAD)
    pairs = coded[number * HEAD.itemsize :].reshape((BLOCK - 2) // 2, number)
    blocks = np.zeros((BLOCK, number), np.int16)
    blocks[:2] = heads["samples"].T
    coder = _Coder(heads)
    for at, pair in enumerate(pairs):
        blocks[2 * at + 2] = coder.decode(pair >> 4)
        blocks[2 * at + 3] = coder.decode(pair & 15)
    return np.ascontiguousarray(blocks.T).ravel()[:count]


class _Coder:
    """The last two samples of every block and where on STEPS it stands; the decoder keeps the same as the coder."""

    def __init__(self, heads: NDArray[Any]) -> None:
        self.before, self.last = (heads["samples"][:, each].astype(np.int32) for each in (0, 1))
        self.weights = PREDICTORS[heads["predictor"]].T
        self.step = heads["step"].astype(np.int32)

    def encode(self, samples: Whole) -> Coded:
        """Codes of one sample of each block, 0 to 15: a sign and how many half steps, an odd number of them."""
        missed = samples - self._foreseen()
        size = np.minimum(np.abs(missed) // STEPS[self.step], 7)
        code: Coded = np.where(missed < 0, size | 8, size).astype(np.uint8)
        self.decode(code)
        return code

    def decode(self, codes: Coded) -> Whole:
        """The samples of one code of each block."""
        size = codes.astype(np.int32) & 7
        missed = (2 * size + 1) * STEPS[self.step] >> 1
        exact = self._foreseen() + np.where(codes & 8, -missed, missed)
        heard: Whole = np.clip(exact, -32768, 32767).astype(np.int32)
        self.before, self.last = self.last, heard
        self.step = np.clip(self.step + MOVES[size], 0, len(STEPS) - 1)
        return heard

    def _foreseen(self) -> Whole:
        foreseen: Whole = (self.weights[0] * self.last + self.weights[1] * self.before) >> 6
        return foreseen


def _missed(blocks: Whole) -> Whole:
    """What each predictor would miss of every sample from the third on, (predictors, blocks, BLOCK - 2)."""
    foreseen = [(first * blocks[:, 1:-1] + second * blocks[:, :-2]) >> 6 for first, second in PREDICTORS]
    return np.stack([blocks[:, 2:] - each for each in foreseen])


def _best_predictor(blocks: Whole) -> NDArray[np.intp]:
    best: NDArray[np.intp] = np.abs(_missed(blocks)).sum(2, dtype=np.int64).argmin(0)
    return best


def _first_step(blocks: Whole, predictors: NDArray[np.uint8]) -> NDArray[np.intp]:
    missed = np.abs(_missed(blocks[:, : LISTENED + 2]))[predictors, np.arange(len(blocks))].mean(1)
    nearest: NDArray[np.intp] = np.searchsorted(STEPS, missed)
    return nearest.clip(0, len(STEPS) - 1)


CODECS: dict[str, Codec] = {
    "exact": Codec(2.0, _encode_exact, _decode_exact),
    "mulaw": Codec(1.0, _encode_mulaw, _decode_mulaw),
    "adpcm": Codec(0.5 + (HEAD.itemsize - 1) / BLOCK, _encode_adpcm, _decode_adpcm),
}
