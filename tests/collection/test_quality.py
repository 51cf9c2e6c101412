"""What a recording is found to be like, by voices and noises that are known."""

import numpy as np
import pytest

from stt_server.collection.quality import problems_of, quality_of
from tests.voices import Samples, say, silence, trimmed, white_noise

SPOKEN = np.concatenate([silence(0.5), trimmed(say("turn on the light")), silence(0.5)])


def kinds(samples: Samples, heard: str = "", script: str | None = None) -> set[str]:
    return {problem.kind for problem in problems_of(quality_of(samples), heard, script)}


def test_good_speech_has_no_problem():
    assert kinds(SPOKEN) == set()


@pytest.mark.parametrize("snr_db", [25.0, 15.0])
def test_the_distance_of_speech_to_noise_is_measured(snr_db: float):
    level_db = quality_of(SPOKEN).level_db
    noise = white_noise(len(SPOKEN) / 16_000, level_db - snr_db)[: len(SPOKEN)]
    # The noise is white and only its share in the telephone band counts: 3.1 of 8 kHz, 4 dB less; sine scale adds 3.
    assert quality_of((SPOKEN + noise).astype(np.float32)).snr_db == pytest.approx(snr_db + 1, abs=5)


def test_silence_a_hum_and_nothing_at_all_are_silent():
    hum = (0.2 * np.sin(np.arange(32_000) * 2 * np.pi * 50 / 16_000)).astype(np.float32)
    for samples in (silence(2.0), hum, np.zeros(0, np.float32), silence(0.01)):
        assert kinds(samples) == {"silent"}


def test_quiet_and_clipped_and_cut_speech_are_told_apart():
    assert kinds((SPOKEN * 0.02).astype(np.float32)) >= {"quiet"}
    assert kinds(np.clip(SPOKEN * 30, -1, 1).astype(np.float32)) == {"clipped"}
    begins_late = SPOKEN[int(16_000 * 0.75) :]
    assert kinds(begins_late) == {"cut"}


@pytest.mark.parametrize(
    ("heard", "wrong"), [("turn on the light", False), ("turn on a light", False), ("close it", True), ("", True)]
)
def test_other_words_than_the_script_are_told(heard: str, wrong: bool):
    assert ("other_words" in kinds(SPOKEN, heard, "Turn on the light!")) == wrong
