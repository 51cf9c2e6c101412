"""Damaged audio files, decoded in a process of their own: samples or a typed error, in bounded time and memory."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
import soundfile

from tests.fuzz.accidents import damaged
from tests.fuzz.budget import both_runs, play
from tests.fuzz.decoding import Decoding
from tests.recordings import OPENAIS, muxed, recording

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED: Final = {"", "bad_audio", "unsupported"}
MORE_MB: Final = 150.0  # than whole files need
MORE: Final = {
    "aiff": ("AIFF", "PCM_16"),
    "rf64": ("RF64", "PCM_24"),
    "float wav": ("WAV", "FLOAT"),
    "adpcm wav": ("WAV", "IMA_ADPCM"),
    "mulaw wav": ("WAVEX", "ULAW"),
    "vorbis": ("OGG", "VORBIS"),
}
MUXED: Final = {"aac": ("adts", "aac"), "alac": ("mp4", "alac"), "mkv": ("matroska", "libopus")}


@pytest.fixture(scope="module")
def recordings() -> dict[str, bytes]:
    """Half a second in every format that is read; noise, since silence leaves little to damage."""
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    made = {kind: recording(kind, samples) for kind in OPENAIS}
    made |= {kind: muxed(*how, samples, channels=2) for kind, how in MUXED.items()}
    for kind, (container, subtype) in MORE.items():
        file = io.BytesIO()
        soundfile.write(file, np.stack([samples, samples], axis=1), 44_100, format=container, subtype=subtype)
        made[kind] = file.getvalue()
    return made


@pytest.fixture
def decoding(tmp_path) -> Iterator[Decoding]:
    with Decoding(tmp_path) as process:
        yield process


@both_runs
def test_a_damaged_file_gives_samples_or_a_typed_error(decoding: Decoding, recordings: dict[str, bytes], nightly: bool):
    whole = {kind: decoding.decode(data) for kind, data in recordings.items()}
    assert {outcome.code for outcome in whole.values()} == {""}
    bound_mb = max(outcome.memory_mb for outcome in whole.values()) + MORE_MB

    def case(seed: str) -> None:
        dice = random.Random(seed)
        data = damaged(recordings[dice.choice(sorted(recordings))], dice)
        outcome = decoding.decode(data)
        assert outcome.code in ALLOWED
        assert outcome.memory_mb < bound_mb

    play("damaged audio files", case, nightly=nightly)


def test_a_decoder_that_crashes_is_seen_and_the_file_is_kept(tmp_path):
    with Decoding(tmp_path) as process:
        process.kill()
        with pytest.raises(AssertionError, match="crashed") as caught:
            process.decode(b"RIFF")
    assert str(next(tmp_path.glob("*.audio"))) in str(caught.value)
