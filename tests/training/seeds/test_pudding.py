"""Fifty recordings of "The proof is in the pudding.": the shipped model does not recognise it, the tuned one does.

Five people record the sentence ten times each: forty takes to learn from, ten to validate on. Synthetic voices stand
for them. All is measured as it is served, with the language model of the bundle: other takes of theirs, takes in noise,
people who recorded nothing, and what both models make of everything else that is said.
"""

import json
import random
import shutil
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.corpora import list_corpora
from stt_server.corpus.evaluation import Heard, evaluate
from stt_server.corpus.formats.table import read_corpus
from stt_server.corpus.manifest import read_manifest
from stt_server.settings import load_settings
from stt_server.speech.bundle import Bundle, entry, write_bundle
from stt_server.speech.decoder.choice import usual_search
from stt_server.speech.files import write_flac
from stt_server.speech.recognizer import Recognizer
from training.augmentation.noise import add_noise
from training.kit import SNR_DB, steady_noise
from training.lm import Sampler, estimate, read_arpa, write_arpa
from training.places import Places
from training.recipe import load_recipe
from training.run import run_recipe
from training.rundir import Run
from training.sentences import SentenceSource
from training.synthetic import HELD_OUT, SAMPLE_RATE, SyntheticCorpus, Utterance, speak
from training.terminal import Terminal

SEARCH = usual_search()
PHRASE, HEARD = "The proof is in the pudding.", "the proof is in the pudding"
PEOPLE = ("en-us", "en-us+f3", "en+m3", "en-gb-scotland+f1", "flite:slt")
STRANGERS = (*HELD_OUT, "en-us+Andy", "en+Alicia", "en-029+max", "flite:rms", "en-gb-x-rp+f2")
NEAR = (  # what a model that had learned to hear puddings everywhere would take for the phrase
    "the roof is in the building",
    "the food is in the kitchen",
    "the proof of the pudding is in the eating",
    "is the pudding in the oven",
    "the truth is in the reading",
    "there is no proof",
    "put the pudding in the fridge",
    "the book is in the garden",
)
OTHERS, LONGEST = 1000, 12
RESAMPLES = 2000
CORPORA = ("an4", "speech_commands", "speechocean762", "librispeech")
LONGEST_JOB_S = 300  # on two cores, speaking the replay and measuring the bundle included
QUICK = {
    "schedule.epochs": 7,
    "schedule.batch_s": 12,
    "schedule.validate_epochs": 7,
    "schedule.learning_rate": 0.0005,
    "schedule.workers": 0,
    "report.noise_minutes": 0.1,
}


def take(voice: str, dice: random.Random, *, noisy: bool) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """The phrase at a rate, pitch, level and distance from the ends of the recording that were not there before."""
    pitch = dice.randint(85, 220) if voice.startswith("flite:") else dice.randint(15, 85)
    samples = 0.5 * speak(Utterance(HEARD, voice, dice.randint(120, 215), pitch))
    edges = [int(SAMPLE_RATE * dice.uniform(0.1, 0.5)) for _ in range(2)]
    samples = np.pad(samples, (edges[0], edges[1])) * 10 ** (dice.uniform(-12, 4) / 20)
    if noisy:
        noise = steady_noise(len(samples), np.random.default_rng(dice.randrange(10**6)))
        samples = add_noise(samples.astype(np.float32), noise, dice.uniform(*SNR_DB))
    return np.clip(samples, -1, 1).astype(np.float32)


def recorded(folder: Path, name: str, voices: Sequence[str], count: int, seed: int, *, noisy: bool = False) -> Path:
    """DeepSpeech's CSV of `count` takes, the voices in turn."""
    (folder / name).mkdir(parents=True)
    dice, rows = random.Random(seed), ["wav_filename,wav_filesize,transcript"]
    for number in range(count):
        path = folder / name / f"{number:03d}.flac"
        write_flac(path, take(voices[number % len(voices)], dice, noisy=noisy))
        rows.append(f"{path},{path.stat().st_size},{PHRASE}")
    listed = folder / f"{name}.csv"
    listed.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return listed


def tuned(folder: Path, lists: dict[str, list[Path]], **changes: Any) -> Bundle:
    """What `earloop train fine-tune --train … --dev … --test …` makes of the lists."""
    sources = {
        f"data.{part}": [{"corpus": str(path), "name": path.stem} for path in paths] for part, paths in lists.items()
    }
    recipe = load_recipe("fine-tune", sources | changes)
    made = run_recipe(Run(recipe, Places(None, folder / "cache"), folder / "run", Terminal(folder / "log.jsonl")))
    assert made is not None
    return made


def exact(bundle: Bundle) -> dict[str, float]:
    """Test source → share of the takes that were heard without a fault, as the bundle was measured."""
    rows = [row for row in bundle.manifest.error_rates if row["decoder"] == SEARCH]
    return {row["source"]: row["exact"]["value"] for row in rows}


def others(folder: Path, base: Path, count: int) -> list[Clip]:
    """So many utterances that are not the phrase, by voices that no training hears: text of the kind that the base's
    language model knows, digits and commands, and what sounds like the phrase.
    """
    lines = list(islice(_lines(base), 2 * count))
    corpus = SyntheticCorpus(folder / "others", SentenceSource(lines, 0.3), count, 5, HELD_OUT, "test")
    return list(read_manifest(corpus.make(2)))


def _lines(base: Path) -> Iterator[str]:
    every = Sampler(read_arpa(base / "lm.arpa.gz")).sentences(random.Random(6), 1, LONGEST)
    for number, line in enumerate(every):
        yield NEAR[number // 20 % len(NEAR)] if number % 20 == 0 else line


def heard_by(bundle: Path, clips: Sequence[Clip]) -> tuple[Heard, ...]:
    return evaluate(Recognizer.load(bundle), clips, SEARCH).heard


def change(before: Sequence[Heard], after: Sequence[Heard]) -> tuple[float, float, float]:
    """By how much the word error rate rose, and its 95 % bootstrap interval: utterances are drawn, paired."""
    rise = np.array([new.errors - old.errors for old, new in zip(before, after, strict=True)])
    words = np.array([len(old.said.split()) for old in before])
    drawn = np.random.default_rng(0).integers(len(rise), size=(RESAMPLES, len(rise)))
    low, high = np.quantile(rise[drawn].sum(1) / words[drawn].sum(1), [0.025, 0.975])
    return float(rise.sum() / words.sum()), float(low), float(high)


def spoken_by_people() -> list[Clip]:
    """The test clips of the public corpora that are there; none on a machine without."""
    root = load_settings().corpora
    every = list_corpora(root) if root else []
    return [clip for corpus in every if corpus.source in CORPORA for clip in corpus.clips("test") if clip.text]


def lighter(bundle: Path, folder: Path) -> Path:
    """A copy without evaluation kit, whose language model knows the sentences of the kit alone: to measure the one and
    to mix the other takes longer than all the rest of a short job.
    """
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("kit"))
    texts = [clip.text for clip in read_manifest(bundle / "kit" / "manifest.csv")]
    write_arpa(estimate(texts, 3, (0,)), folder / "lm.arpa.gz")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    del manifest["kit"]
    write_bundle(folder, manifest | {"lm": entry(folder, "lm.arpa.gz")})
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sentence_is_taught_by_a_dozen_recordings(
    tmp_path: Path, shipped_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short twin: one person, a few steps, little replay."""
    monkeypatch.setattr("training.replay.REPLAYED", 16)
    monkeypatch.setattr("training.replay.GUARDING", 4)
    monkeypatch.setattr("training.replay.SENTENCES", 100)
    base = lighter(shipped_bundle, tmp_path / "base")
    lists = {
        "train": [recorded(tmp_path, "train", PEOPLE[:1], 10, 1)],
        "dev": [recorded(tmp_path, "dev", PEOPLE[:1], 2, 2)],
        "test": [recorded(tmp_path, "takes", PEOPLE[:1], 8, 3)],
    }
    said = list(read_corpus(lists["test"][0]).clips)
    assert not any(each.errors == 0 for each in heard_by(base, said))
    bundle = tuned(tmp_path, lists, **{"start.model": str(base), **QUICK})
    assert exact(bundle)["takes"] >= 0.75
    near = SyntheticCorpus(tmp_path / "near", SentenceSource(list(NEAR), 0.0), 16, 5, PEOPLE[:1], "test")
    assert not any(HEARD in each.heard for each in heard_by(bundle.folder, list(read_manifest(near.make(1)))))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_fifty_recordings_teach_a_sentence_and_cost_nothing_else(tmp_path: Path, shipped_bundle: Path) -> None:
    """The whole. Nobody's takes are in two lists; strangers are reported and asked for nothing."""
    lists = {
        "train": [recorded(tmp_path, "train", PEOPLE, 40, 1)],
        "dev": [recorded(tmp_path, "dev", PEOPLE, 10, 2)],
        "test": [
            recorded(tmp_path, "takes", PEOPLE, 50, 3),
            recorded(tmp_path, "noise", PEOPLE, 50, 4, noisy=True),
            recorded(tmp_path, "strangers", STRANGERS, 60, 5),
        ],
    }
    said = [clip for listed in lists["test"] for clip in read_corpus(listed).clips]
    assert not any(each.errors == 0 for each in heard_by(shipped_bundle, said))

    begun = perf_counter()
    bundle = tuned(tmp_path, lists)
    seconds, rates = perf_counter() - begun, exact(bundle)
    general = [*others(tmp_path, shipped_bundle, OTHERS), *spoken_by_people()]
    before, after = heard_by(shipped_bundle, general), heard_by(bundle.folder, general)
    false = sum(HEARD in each.heard for each in after)
    rise, low, high = change(before, after)
    Terminal(None).say(
        f"{seconds:.0f} s; exact {rates}; in {len(general)} other utterances the phrase was heard {false} times, and "
        f"the word error rate rose by {100 * rise:.2f} points ({100 * low:.2f} to {100 * high:.2f})"
    )
    assert rates["takes"] >= 0.95
    assert rates["noise"] >= 0.95
    assert false <= 0.001 * len(general)
    assert high <= 0.01
    assert seconds <= LONGEST_JOB_S
