"""From a bundle to a tuned bundle, the whole way: replay and a guard of its own making, language models as one."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle
from stt_server.speech.files import write_flac
from stt_server.speech.recognizer import Recognizer
from tests.training.material import ALPHABET, MEL, six_clips, toy_model, with_graphs_of
from tests.voices import say
from training import checkpoints
from training.averaging import SHARES as AVERAGES
from training.averaging import between, choose_share
from training.clips import ClipArray
from training.data import Gathered
from training.exporting import export_run
from training.lm import perplexity, read_arpa
from training.places import Places
from training.recipe import Recipe
from training.replay import SHARES, drawn_sentences, mixed, probe_shares
from training.run import run_recipe
from training.rundir import Run
from training.streaming import StreamingModel
from training.terminal import Terminal
from training.tuning import error_rates

NEW = "stop the light"

pytestmark = pytest.mark.timeout(600)  # the first test waits for what all share, on whatever machine


def listed(folder: Path, texts: list[str], voice: str) -> str:
    """A DeepSpeech list of recordings; its path."""
    folder.mkdir()
    rows = ["wav_filename,wav_filesize,transcript"]
    for number, text in enumerate(texts):
        write_flac(folder / f"{number}.flac", 0.5 * say(text, voice, 140 + 5 * number))
        rows.append(f"{number}.flac,{(folder / f'{number}.flac').stat().st_size},{text}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return str(folder / "list.csv")


@pytest.fixture(scope="module")
def tuned(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    keys = {
        "name": "tuned",
        "alphabet": "auto",
        "start": {"model": str(tiny_bundle), "average": 0.5, "freeze": ["subsampling.*"]},
        "data": {
            "train": [{"corpus": listed(folder / "train", [NEW] * 4, "en-us")}],
            "dev": [{"corpus": listed(folder / "dev", [NEW, "yes"], "en-us+f3"), "name": "new"}],
            "test": [{"corpus": listed(folder / "test", [NEW], "en-us+f2")}],
        },
        "schedule": {"epochs": 2, "batch_s": 6, "workers": 0, "threads": 1, "precision": "fp32"},
        "lm": {"order": 2, "cutoffs": [0], "share": 0.3},
    }
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr("training.replay.REPLAYED", 8)
        smaller.setattr("training.replay.GUARDING", 3)
        smaller.setattr("training.replay.SENTENCES", 40)
        terminal = Terminal(folder / "log.jsonl")
        run_recipe(Run(Recipe.model_validate(keys), Places(None, folder / "cache"), folder / "run", terminal))
    return folder / "run"


@pytest.mark.slow
def test_a_tuned_bundle_says_what_it_came_from_and_recognises(tuned: Path, tiny_bundle: Path) -> None:
    manifest, base = load_bundle(tuned / "bundle").manifest, load_bundle(tiny_bundle).manifest
    assert manifest.lineage["start"] == {
        "name": "tiny",
        "sha256": base.models["fp32"].sha256,
        "version": base.version,
        "average": 0.5,
        "replay_share": 0.5,
        "frozen": ["subsampling.*"],
    }
    card = (tuned / "bundle" / "card.md").read_text(encoding="utf-8")
    assert f"It went on from `tiny {base.version}`" in card
    assert manifest.lineage["model"]["architecture"] == "conv"
    assert (manifest.labels, manifest.states) == (base.labels, base.states)
    assert manifest.decoder.alpha == base.decoder.alpha
    assert Recognizer.load(tuned / "bundle").transcribe(say("yes")).audio_s > 0


@pytest.mark.slow
def test_a_bundle_tells_nothing_of_the_file_system_it_was_made_on(tuned: Path, tiny_bundle: Path) -> None:
    """Its lists, the bundle it began from, cache and home were all named by their whole paths."""
    places = [tuned.parent, tiny_bundle, *(place for place in (Path.home(), Path.cwd()) if len(place.parts) > 1)]
    for path in (tuned / "bundle").rglob("*"):
        if path.is_file():
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert not [place for place in places if str(place).encode() in content], path.name


@pytest.mark.slow
def test_the_weights_exported_lie_between_base_and_tuned(tuned: Path, tiny_bundle: Path) -> None:
    best = tuned / "best.pt"
    learned = checkpoints.load(best if best.is_file() else tuned / "last.pt").averaged
    exported = checkpoints.load(tuned / "averaged.pt").averaged
    other = [name for name in learned if not (exported[name] == learned[name]).all()]
    assert other
    assert not any(name.startswith(("subsampling.", "mean", "scale")) for name in other)


@pytest.mark.slow
def test_replay_and_guard_are_spoken_from_the_language_model_of_the_bundle(tuned: Path) -> None:
    clips = list(read_manifest(tuned / "clips.csv"))
    sources = {(clip.split, clip.source) for clip in clips}
    assert {("dev", "guard"), ("dev", "new")} <= sources
    assert [sum(clip.split == part for clip in clips) for part in ("train", "replay")] == [4, 8]
    recipe = json.loads((tuned / "recipe.json").read_text(encoding="utf-8"))
    assert recipe["data"]["replay"][0]["synthetic"]["count"] == 8
    assert recipe["model"]["width"] == 32


@pytest.mark.slow
def test_what_was_replayed_does_not_count_as_learned_from(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when a run ends nor when it is exported anew."""
    with_graphs_of(tuned / "bundle", monkeypatch)
    places = Places(None, tuned.parent / "cache")
    again = export_run(tuned, tmp_path / "again", places, Terminal(tmp_path / "log.jsonl"))
    for bundle in (load_bundle(tuned / "bundle"), again):
        assert bundle.manifest.lineage["clips"] == 4
        card = (bundle.folder / "card.md").read_text(encoding="utf-8")
        assert "| 4 |" in card
        assert "| 8 |" not in card
    first, second = (each.manifest.version.split(".")[1] for each in (load_bundle(tuned / "bundle"), again))
    assert first == second  # the same model; the day before the dot may be another


@pytest.mark.slow
def test_the_language_model_knows_the_new_sentence_and_all_it_knew(tuned: Path, tiny_bundle: Path) -> None:
    base, mixture = read_arpa(tiny_bundle / "lm.arpa.gz"), read_arpa(tuned / "bundle" / "lm.arpa.gz")
    assert set(mixture.vocabulary) == {*base.vocabulary, "the"}
    assert perplexity(mixture, [NEW]).value < 6
    assert perplexity(mixture, ["stop light"]).value < 1.5 * perplexity(base, ["stop light"]).value


def test_drawn_sentences_are_spelled_by_the_alphabet_and_drawn_once(tiny_bundle: Path, tmp_path: Path) -> None:
    lm = tiny_bundle / "lm.arpa.gz"
    path = drawn_sentences(lm, " yesnop", tmp_path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4000
    assert set("".join(lines)) <= set(" yesnop")
    path.write_text("kept\n", encoding="utf-8")
    assert drawn_sentences(lm, " yesnop", tmp_path).read_text(encoding="utf-8") == "kept\n"
    assert drawn_sentences(lm, " yesnopt", tmp_path) != path


def part(seconds: list[float], weight: float = 1.0) -> Gathered:
    return Gathered([Clip(Path(f"{s}"), "", duration_s=s) for s in seconds], [weight] * len(seconds))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_replay_has_its_share_of_the_seconds(share: float) -> None:
    new, replay = part([2.0, 3.0], weight=2.0), part([1.0] * 400, weight=0.5)
    both = mixed(new, replay, share)
    seconds = [weight * (clip.duration_s or 0) for clip, weight in zip(both.clips, both.weights, strict=True)]
    assert sum(seconds[:2]) == pytest.approx(10)
    assert sum(seconds[2:]) / sum(seconds) == pytest.approx(share)


def test_without_replay_nothing_is_mixed() -> None:
    new = part([2.0])
    assert mixed(new, part([]), 0.5) is new
    assert mixed(new, part([1.0]), 0.0) is new


def test_the_best_share_of_replay_is_the_one_that_heard_dev_best() -> None:
    told: list[str] = []
    rates = {0.7: {"new": 0.4, "guard": 0.2}, 0.5: {"new": 0.1, "guard": 0.3}, 0.3: {"new": 0.1, "guard": 0.5}}
    assert probe_shares(lambda share: rates[share], told.append) == 0.5
    assert "30.0 % with 0.7, 20.0 % with 0.5, 30.0 % with 0.3" in told[0]
    assert probe_shares(lambda share: {"new": 0.2}, told.append) == SHARES[0]


def test_the_best_average_is_the_one_that_hears_dev_best() -> None:
    base, tuned, told = toy_model(), toy_model(), list[str]()
    tuned.out.bias.data.add_(1.0)
    start = base.out.bias.detach()[0].item()
    wer = {1.0: 0.4, 0.75: 0.2, 0.5: 0.2, 0.25: 0.9}

    def measure(model: StreamingModel) -> dict[str, float]:
        return {"dev": wer[round(model.out.bias.detach()[0].item() - start, 2)]}

    assert choose_share(base, tuned, measure, told.append) == 0.75
    assert tuned.out.bias.detach()[0].item() == pytest.approx(start + 1)
    assert AVERAGES[0] == 1.0
    whole = between(base.state_dict(), tuned.state_dict(), 1.0)
    assert all(torch.equal(whole[name], weight) for name, weight in tuned.state_dict().items())


def test_rates_are_told_by_source() -> None:
    clips = six_clips()
    said = [replace(each, source=name) for each, name in zip(clips.said, "aabbbb", strict=True)]
    rates = error_rates(toy_model(), ClipArray(clips.samples, clips.ends, said), ALPHABET, MEL)
    assert set(rates) == {"a", "b"}
    assert all(np.isfinite(list(rates.values())))
    assert error_rates(toy_model(), ClipArray(clips.samples[:0], clips.ends[:0], []), ALPHABET, MEL) == {}
