"""What a model hears is kept: decoded again it says what the recogniser says, and what was kept is known again."""

from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus import posteriors
from stt_server.corpus.clip import Clip
from stt_server.errors import BadInput, Conflict
from stt_server.messages import Open
from stt_server.speech.files import read_audio, write_wav
from stt_server.speech.recognizer import Recognizer
from tests.bundles import spoken


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    said = {"one": "stop light", "two": "yes", "three": ""}
    for name, text in said.items():
        write_wav(folder / f"{name}.wav", spoken(*text.split()))
    return [Clip(folder / f"{name}.wav", text.upper()) for name, text in said.items()]


def test_a_decoder_says_of_it_what_the_recogniser_says_of_the_clip(tiny: Recognizer, clips: list[Clip]) -> None:
    told: list[int] = []
    heard = posteriors.hear(tiny, clips, told.append)
    assert [each.said for each in heard] == ["stop light", "yes", ""]
    assert told == [1, 2, 3]
    for clip, each in zip(clips, heard, strict=True):
        for decoder in tiny.decoders.values():
            texts = []
            for logprobs_TV in each.utterances:
                decoding = decoder.open()
                decoding.step(logprobs_TV)
                texts.append(decoding.final().text)
            whole = tiny.transcribe(read_audio(clip.path), Open("offline", decoder=decoder.name))
            assert " ".join(filter(None, texts)) == whole.text


def test_what_was_kept_comes_back_for_the_same_model_and_clips_alone(
    tiny: Recognizer, clips: list[Clip], tmp_path: Path
) -> None:
    heard, path = posteriors.hear(tiny, clips[:2]), tmp_path / "kept.npz"
    known_by = posteriors.mark("0" * 64, clips[:2], vad=True)
    assert posteriors.load(path, known_by) is None
    posteriors.save(heard, path, known_by)
    again = posteriors.load(path, known_by)
    assert again is not None
    assert [each.said for each in again] == [each.said for each in heard]
    for ours, theirs in zip(again, heard, strict=True):
        assert len(ours.utterances) == len(theirs.utterances)
        for one, two in zip(ours.utterances, theirs.utterances, strict=True):
            np.testing.assert_array_equal(one, two)
    for other in (
        posteriors.mark("1" * 64, clips[:2], vad=True),
        posteriors.mark("0" * 64, clips[:1], vad=True),
        posteriors.mark("0" * 64, clips[:2], vad=False),
    ):
        with pytest.raises(Conflict, match="another model or of other clips"):
            posteriors.load(path, other)
    assert [each.name for each in tmp_path.iterdir()] == ["kept.npz"]


@pytest.mark.parametrize("content", [b"", b"no numbers", b"PK\x03\x04 and then nothing"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "kept.npz").write_bytes(content)
    with pytest.raises(BadInput, match="holds no log-probabilities"):
        posteriors.load(tmp_path / "kept.npz", "mark")


def test_no_clips_are_refused(tiny: Recognizer) -> None:
    with pytest.raises(BadInput, match="no clips to tune on"):
        posteriors.hear(tiny, [])
