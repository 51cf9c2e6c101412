"""What a recipe names is found or missed in a sentence, and nobody is tested on what was learned from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import write_manifest
from stt_server.errors import BadInput, BadOption, NotFound
from stt_server.speech.files import write_wav
from tests.training.material import ALPHABET, recipe
from tests.voices import say, white_noise
from training.clips import load_clips
from training.data import Gathering, check_learnable, gather
from training.places import Places
from training.recipe import Recipe
from training.sources import check_places, surroundings, synthetic_corpus


def corpus(folder: Path, rows: Sequence[tuple[str, str, str]], seconds: dict[str, float] | None = None) -> Path:
    """A corpus `folder` of (file, split, text) rows; files that are not there are spoken."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for name, split, text in rows:
        path = folder / name
        samples = say(text or "hello")
        samples = np.pad(samples, (0, max(0, int((seconds or {}).get(name, 0) * 16000) - len(samples))))
        if not path.exists():
            write_wav(path, samples)
        clips.append(Clip(path, text, folder.name, "someone", len(samples) / 16000, split))
    write_manifest(folder / "manifest.csv", clips)
    return folder


def data(train: list[dict[str, Any]], **parts: Any) -> Recipe:
    return recipe(data={"train": train, **parts})


def gathered(made: Recipe, folder: Path) -> Gathering:
    return gather(made, Places(folder, folder / "cache"))


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
    corpus(tmp_path / "two", [("d.wav", "train", "far too long")], seconds={"d.wav": 17})
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
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "test", "a whole story")], seconds={"b.wav": 17})
    found = gathered(data([{"corpus": "one", "split": "train"}], test=[{"corpus": "one", "split": "test"}]), tmp_path)
    assert [clip.text for clip in found.test.clips] == ["a whole story"]
    assert not found.errors


def test_nothing_to_learn_from_says_why(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "..."), ("b.wav", "train", "")])
    with pytest.raises(BadInput, match=r"no training clip can be learned from \(.*empty text.*\)"):
        check_learnable(gathered(data([{"corpus": "one"}]), tmp_path))


def test_too_many_faults_end_the_run_until_somebody_allows_them(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "..."), ("b.wav", "train", ""), ("c.wav", "train", "stop")])
    found = gathered(data([{"corpus": "one"}]), tmp_path)
    with pytest.raises(BadInput, match=r"2 of 3 training clips are faulty \(2 empty text\).*data.most_faulty=1"):
        check_learnable(found, 0.5)
    check_learnable(found, 0.7)


def test_without_a_source_there_is_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name lists with --train, or `data.train` in a recipe"):
        check_places(recipe(data={"train": []}), Places(None, tmp_path))


def test_a_letter_outside_the_alphabet_is_a_finding_with_its_clip(tmp_path: Path) -> None:
    corpus(
        tmp_path / "one", [("a.wav", "train", "it's on"), ("b.wav", "train", "stop"), ("c.wav", "test", "that's it")]
    )
    sources = {"train": [{"corpus": "one", "split": "train"}], "test": [{"corpus": "one", "split": "test"}]}
    found = gathered(recipe(data=sources, alphabet=" abcdefghijklmnopqrstuvwxyz"), tmp_path)
    assert [(each.kind.value, each.clip.path.name) for each in found.errors] == [("not in the alphabet", "a.wav")]
    assert [clip.text for clip in found.train.clips] == ["stop"]
    assert [clip.text for clip in found.test.clips] == ["that's it"]  # the model will not write it, and pays for that


def test_an_automatic_alphabet_is_the_base_models_or_that_of_the_training_texts(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "Stop it"), ("b.wav", "dev", "play")])
    sources = {"train": [{"corpus": "one", "split": "train"}], "dev": [{"corpus": "one", "split": "dev"}]}
    made, places = recipe(data=sources, alphabet="auto"), Places(tmp_path, tmp_path / "cache")
    found = gather(made, places)
    assert found.alphabet.letters == " iopst"
    assert [each.clip.path.name for each in found.errors] == ["b.wav"]
    assert gather(made, places, base=ALPHABET).alphabet == ALPHABET


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


def lists(folder: Path, **texts: Sequence[str]) -> dict[str, str]:
    """DeepSpeech's CSVs, one a name, of clips spoken for them."""
    paths = {}
    for name, said in texts.items():
        rows = ["wav_filename,wav_filesize,transcript"]
        for number, text in enumerate(said):
            write_wav(folder / f"{name}-{number}.wav", say(text, rate=150 + number))
            rows.append(f"{name}-{number}.wav,0,{text}")
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        paths[name] = str(folder / f"{name}.csv")
    return paths


def test_lists_of_any_format_are_taken_by_their_path_and_get_durations(tmp_path: Path) -> None:
    paths = lists(tmp_path, train=["turn on the light", "stop"], test=["play"])
    made = data([{"corpus": paths["train"]}], test=[{"corpus": paths["test"], "name": "mine"}])
    found = gather(made, Places(None, tmp_path / "cache"))
    assert found.train.hours * 3600 == pytest.approx(
        sum(len(say(t, rate=r)) for t, r in (("turn on the light", 150), ("stop", 151))) / 16000, abs=0.01
    )
    assert [clip.source for clip in found.test.clips] == ["mine"]
    assert found.holds_for.startswith("The result holds for ")


def test_a_list_is_found_beside_its_recipe(tmp_path: Path) -> None:
    lists(tmp_path, train=["stop"])
    places = Places(None, tmp_path / "cache", tmp_path)
    assert places.dataset("train.csv") == tmp_path / "train.csv"
    with pytest.raises(NotFound, match="there is no such file or folder"):
        places.dataset("./dev.csv")


def test_a_row_that_gives_no_clip_is_a_finding_and_the_rest_is_learned_from(tmp_path: Path) -> None:
    paths = lists(tmp_path, train=["stop", "play"])
    with Path(paths["train"]).open("a", encoding="utf-8") as rows:
        rows.write(",,nothing\n")
    found = gather(data([{"corpus": paths["train"]}]), Places(None, tmp_path / "cache"))
    assert [each.kind.value for each in found.errors] == ["faulty row"]
    assert len(found.train.clips) == 2


def test_one_pile_is_split_in_three_and_the_same_way_again_when_it_has_grown(tmp_path: Path) -> None:
    said = [f"{what} the {thing}" for what in ("open", "close", "paint", "lift") for thing in ("door", "box", "car")]
    path = lists(tmp_path, mine=said[:10])["mine"]
    made, places = recipe(data={"train": [{"corpus": path}], "split": True}), Places(None, tmp_path / "cache")
    first = gather(made, places)
    sizes = [len(part.clips) for part in (first.train, first.dev, first.test)]
    assert sum(sizes) == 10
    assert all(sizes)
    assert first.divided.startswith("split by ")
    lists(tmp_path, mine=said)
    known = {clip.path: str(clip.split) for clip in first.clips}
    grown = gather(made, places, known=known)
    assert {clip.path: clip.split for clip in grown.clips if clip.path in known} == known
    assert len(grown.clips) > 10


def test_the_digest_tells_other_texts_and_other_samples_but_not_other_places(tmp_path: Path) -> None:
    def digest(place: str, text: str, spoken: str) -> str:
        folder = tmp_path / place / "mine"
        folder.mkdir(parents=True)
        write_wav(folder / "a.wav", say(spoken))
        (folder / "list.csv").write_text(f"wav_filename,wav_filesize,transcript\na.wav,0,{text}\n", encoding="utf-8")
        return gather(data([{"corpus": str(folder / "list.csv")}]), Places(None, tmp_path / "cache")).digest

    assert digest("here", "stop", "stop") == digest("there", "stop", "stop")
    assert len({digest("1", "stop", "stop"), digest("2", "go", "stop"), digest("3", "stop", "go")}) == 3


def test_clips_are_listened_to_once(tmp_path: Path) -> None:
    corpus(tmp_path / "one", [("a.wav", "train", "yes"), ("b.wav", "train", "stop")])
    heard: list[tuple[int, int]] = []
    for _ in range(2):
        gather(
            data([{"corpus": "one"}]), Places(tmp_path, tmp_path / "cache"), listened=lambda *done: heard.append(done)
        )
    assert heard == [(1, 2), (2, 2)]
    write_wav(tmp_path / "one" / "b.wav", say("play"))
    gather(data([{"corpus": "one"}]), Places(tmp_path, tmp_path / "cache"), listened=lambda *done: heard.append(done))
    assert heard[2:] == [(1, 1)]
