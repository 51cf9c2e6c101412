"""Small audio: what comes back, how much of it, and how near it is."""

import numpy as np
import pytest

from stt_server.errors import BadInput
from tests.voices import say
from training.codecs import BLOCK, CODECS, codec, snr_db

FULL = 32767


def spoken() -> np.ndarray:
    return np.round(say("seven nine, turn on the lights") * FULL).astype(np.int16)


def square(period: int) -> np.ndarray:
    return np.where(np.arange(5000) // period % 2, FULL, -32768).astype(np.int16)


def loud_noise() -> np.ndarray:
    return np.random.default_rng(1).integers(-32768, FULL, 5000, np.int16, endpoint=True)


@pytest.mark.parametrize(
    ("name", "bytes_a_sample", "at_least_db"), [("exact", 2, np.inf), ("mulaw", 1, 36), ("adpcm", 0.52, 21)]
)
def test_speech_comes_back_as_near_as_its_encoding_promises(
    name: str, bytes_a_sample: float, at_least_db: float
) -> None:
    samples = spoken()
    coded = codec(name).encode(samples)
    assert len(coded) <= bytes_a_sample * len(samples) + BLOCK
    heard = codec(name).decode(coded, len(samples))
    assert heard.dtype == np.int16
    assert snr_db(samples, heard) >= at_least_db


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("length", [0, 1, 2, 3, BLOCK - 1, BLOCK, BLOCK + 1])
def test_every_length_comes_back(name: str, length: int) -> None:
    samples = spoken()[4000 : 4000 + length]
    assert codec(name).decode(codec(name).encode(samples), length).shape == (length,)


@pytest.mark.parametrize("name", CODECS)
def test_silence_stays_all_but_silent(name: str) -> None:
    heard = codec(name).decode(codec(name).encode(np.zeros(3000, np.int16)), 3000)
    assert np.abs(heard).max() <= 16  # 66 dB below full scale


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("samples", [square(1), square(40), loud_noise()], ids=["fast", "slow", "noise"])
def test_full_scale_does_not_wrap_around(name: str, samples: np.ndarray) -> None:
    heard = codec(name).decode(codec(name).encode(samples), len(samples))
    assert snr_db(samples, heard) > 5


def test_an_encoding_that_is_not_known_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="no encoding 'flac'; there are exact, mulaw, adpcm"):
        codec("flac")
