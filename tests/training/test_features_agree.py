"""What the model learns from is what it is served: the same frames, out of a file at once or a stream in pieces."""

from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.speech.endpoint import EndpointConfig
from stt_server.speech.files import write_flac
from stt_server.speech.pcm import AudioFormat, decode_pcm, to_int16
from stt_server.speech.segment import Grid, Segment
from stt_server.speech.vad import Vad, VadConfig
from tests.training.material import MEL
from tests.voices import Samples, fan_noise, say
from training.batches import frames_of
from training.clips import load_clips

LAG = 7
GRID = Grid(samples=2560, overlap=240, outputs=4, lag=LAG)


def learned(samples: Samples, folder: Path) -> np.ndarray:
    """The trainer's way: a FLAC file, the array of decoded clips, a batch's row."""
    write_flac(folder / "clip.flac", samples)
    clips = load_clips([Clip(folder / "clip.flac", "")], [1.0], folder / "cache")
    return frames_of(MEL, clips[0])


def served(samples: Samples, pieces: list[int]) -> np.ndarray:
    """The server's way: bytes of any cutting, PCM, the steps of a segment that is closed."""
    segment = Segment(GRID, MEL, Vad(VadConfig()), EndpointConfig(), (), 0.0)
    form, rest, data, place, turn = AudioFormat("s16le", 16000, 1), b"", to_int16(samples).tobytes(), 0, 0
    while place < len(data):
        size = pieces[turn % len(pieces)]
        decoded, rest = decode_pcm(form, data[place : place + size], rest)
        segment.add(decoded)
        place, turn = place + size, turn + 1
    segment.close()
    steps = []
    while segment.ready:
        steps.append(segment.features())
        segment.heard(np.zeros((4, 29), np.float32), ())
    return np.concatenate(steps)


@pytest.mark.parametrize("pieces", [[320], [1, 3, 4096], [5120], [8000, 7], [10**9]])
@pytest.mark.parametrize("cut", [0, 1, 333])
def test_streamed_frames_are_the_frames_learned_from(pieces: list[int], cut: int, tmp_path: Path) -> None:
    voice = say("what time is it")
    samples = (voice + fan_noise(len(voice) / 16000 + 1, -50)[: len(voice)])[: len(voice) - cut]
    theirs, ours = served(samples, pieces), learned(samples, tmp_path)
    assert len(theirs) >= len(ours) + 4 * LAG
    assert theirs[: len(ours)] == pytest.approx(ours, abs=1e-3)


def test_behind_the_end_the_model_hears_the_silence_it_was_trained_with(tmp_path: Path) -> None:
    voice = say("stop")
    theirs, ours = served(voice, [640]), learned(voice, tmp_path)
    assert theirs[len(ours) :] == pytest.approx(MEL.recipe.silence, abs=1e-3)
