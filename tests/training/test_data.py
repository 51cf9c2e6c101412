"""What a recipe names is found or missed in a sentence, and nobody is tested on what was learned from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import write_manifest
from stt_server.errors import BadInput, BadOption, NotFound
from stt_server.speech.files import write_wav
from tests.training.material import ALPHABET, recipe
from tests.voices import say, white_noise
from training.clips import load_clips
from training.data import Gathering, Places, check_learnable, check_places, gather, surroundings, synthetic_corpus
from training.recipe import Recipe


def corpus(folder: Path, rows: Sequence[tuple[str, str, str]], seconds: dict[str, float] | None = None) -> Path:
    """A corpus `folder` of (file, split, text) rows; files that are not there are spoken."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for name, split, text in rows:
        path = folder / name
        samples = say(text or "hello")
        if not path.exists():
            write_wav(path, samples)
        duration_s = (seconds or {}).get(name, len(samples) / 16000)
        clips.append(Clip(path, text, folder.name, "someone", duration_s, split))
    write_manifest(folder / "manifest.csv", clips)
    return folder


def data(train: list[dict[str, Any]], **parts: Any) -> Recipe:
    return recipe(data={"train": train, **parts})


def gathered(made: Recipe, folder: Path) -> Gathering:
    return gather(made.data, Places(folder, folder / "cache"))


def test_texts_are_normalised_and_weights_go_with_their_clips(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "Turn it ON!"), ("b.wav", "dev", "Play")])
    corpus(tmp_path / "two", [("c.wav", "train", "Set 2 timers")])
    made = data([{"corpus": "one", "split": "train", "weight": 3}, {"corpus": "two"}])
    train = gathered(made, tmp_path).train
    assert [clip.text for clip in train.clips] == ["turn it on", "set two timers"]
    assert train.weights == [3.0, 1.0]


def test_faulty_clips_are_left_out_and_named(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "train", "long"), ("c.wav", "train", "gone")])
    (tmp_path / "one" / "c.wav").unlink()
    corpus(tmp_path / "two", [("d.wav", "train", "far too long")], seconds={"d.wav": 99})
    found = gathered(data([{"corpus": "one"}, {"corpus": "two"}]), tmp_path)
    assert [clip.text for clip in found.train.clips] == ["yes", "long"]
    assert sorted((finding.kind.value, finding.clip.path.name) for finding in found.errors) == [
        ("missing", "c.wav"),
        ("too long", "d.wav"),
    ]


def test_a_recording_that_is_tested_on_is_not_learned_from(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "train", "stop")])
    corpus(tmp_path / "two", [("copy.wav", "test", "stop")])
    found = gathered(data([{"corpus": "one"}], test=[{"corpus": "two"}]), tmp_path)
    assert [clip.text for clip in found.train.clips] == ["yes"]
    assert [clip.text for clip in found.test.clips] == ["stop"]


def test_a_test_keeps_what_is_too_long_to_learn_from(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "test", "a whole story")], seconds={"b.wav": 99})
    found = gathered(data([{"corpus": "one", "split": "train"}], test=[{"corpus": "one", "split": "test"}]), tmp_path)
    assert [clip.text for clip in found.test.clips] == ["a whole story"]
    assert not found.errors


def test_nothing_to_learn_from_says_why(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "..."), ("b.wav", "train", "")])
    with pytest.raises(BadInput, match=r"no training clip can be learned from \(.*empty text.*\)"):
        check_learnable(gathered(data([{"corpus": "one"}]), tmp_path), ALPHABET)


def test_a_letter_outside_the_alphabet_is_named_with_its_clip(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "it's on")])
    found = gathered(data([{"corpus": "one"}]), tmp_path)
    check_learnable(found, ALPHABET)
    alphabet = type(ALPHABET)(" abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(BadInput, match='"\'" in "it\'s on" .*a.wav.* is not in the recipe\'s alphabet'):
        check_learnable(found, alphabet)


def test_a_split_that_a_corpus_lacks_is_answered_with_those_it_has(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "dev", "no")])
    with pytest.raises(BadInput, match="the corpus 'one' has no clips of split 'tset'; it has dev, train"):
        gathered(data([{"corpus": "one", "split": "tset"}]), tmp_path)


def test_everything_missing_is_missed_before_anything_is_made(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes")])
    spoken = {"synthetic": {"sentences": "text.tsv", "count": 5}}
    nowhere, here = Places(None, tmp_path / "cache"), Places(tmp_path, tmp_path / "cache")
    for made, places, complaint in [
        (data([{"corpus": "one"}]), nowhere, "no corpus 'one': set EARLOOP_CORPORA"),
        (data([{"corpus": "tow"}]), here, "no corpus 'tow' under .*one"),
        (data([{"corpus": "one"}], noise=["noise"]), nowhere, "set EARLOOP_CORPORA"),
        (data([{"corpus": "one"}], noise=["noise"]), here, "no noise folder 'noise'"),
        (data([spoken]), here, "no sentence file 'text.tsv', neither beside the recipe nor under"),
        (data([spoken]), nowhere, "no sentence file 'text.tsv'.*EARLOOP_CORPORA names none"),
        (recipe(data={"train": [{"corpus": "one"}]}, lm={"sentences": ["lm.txt"]}), here, "no sentence file 'lm.txt'"),
    ]:
        with pytest.raises(NotFound, match=complaint):
            check_places(made, places)
    assert not (tmp_path / "cache").exists()


def test_sentences_are_found_beside_the_recipe_first(tmp_path: Path) -> None:
    for folder in ("recipes", "corpora/text", "beside"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "text.tsv").write_text("hello\n", encoding="utf-8")
    places = Places(tmp_path / "corpora", tmp_path / "cache", tmp_path / "recipes")
    assert places.text("text.tsv").parent.name == "recipes"
    (tmp_path / "recipes" / "text.tsv").unlink()
    assert places.text("text.tsv").parent.name == "text"
    (tmp_path / "corpora" / "text" / "text.tsv").unlink()
    assert places.text("text.tsv").parent.name == "beside"


def test_a_held_out_voice_may_not_be_learned_from(tmp_path: Path) -> None:
    source = data([{"synthetic": {"by_rule": 1, "count": 3, "voices": ["en-us", "en-us+f5"]}}]).data.train[0]
    assert source.synthetic
    with pytest.raises(BadOption, match="the voice en-us\\+f5 is held out for evaluation kits"):
        synthetic_corpus(source.synthetic, Places(None, tmp_path))


def test_a_synthetic_corpus_is_kept_under_what_it_says(tmp_path: Path) -> None:
    def folder(**keys: Any) -> Path:
        source = data([{"synthetic": {"by_rule": 1, "count": 3, **keys}}]).data.train[0]
        assert source.synthetic
        return synthetic_corpus(source.synthetic, Places(None, tmp_path)).folder

    assert folder() == folder()
    assert len({folder(), folder(seed=2), folder(count=4), folder(voices=["en-us"])}) == 4


def test_noises_and_rooms_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    for name, seconds in (("fan.wav", 1.0), ("hall.wav", 0.25)):
        write_wav(tmp_path / "noise" / name, white_noise(seconds, -30))
    rows = "kind,path,duration_s,licence\nnoise,fan.wav,1,CC0\nrir,hall.wav,0.25,CC0\n"
    (tmp_path / "noise" / "manifest.csv").write_text(rows, encoding="utf-8")
    around = surroundings(["noise"], Places(tmp_path, tmp_path))
    assert [len(each) for each in around.noises] == [16000]
    assert [len(each) for each in around.rooms] == [4000]


def test_decoded_clips_are_kept_and_decoded_anew_when_a_file_has_changed(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "train", "play")])
    train = gathered(data([{"corpus": "one"}]), tmp_path).train
    decoded: list[int] = []
    first = load_clips(train.clips, train.weights, tmp_path / "cache", decoded.append)
    assert first[1] == pytest.approx(say("play"), abs=1e-4)
    load_clips(train.clips, train.weights, tmp_path / "cache", decoded.append)
    assert decoded == [1, 2]
    write_wav(folder / "b.wav", say("stop"))
    again = load_clips(train.clips, train.weights, tmp_path / "cache", decoded.append)
    assert again[1] == pytest.approx(say("stop"), abs=1e-4)
    assert first[1] == pytest.approx(say("play"), abs=1e-4)  # a run that has the old array mapped keeps it
