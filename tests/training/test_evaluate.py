"""A bundle is measured as it is served: every source, every decoder, and the words it hears where there are none."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.clip import Clip
from stt_server.speech.bundle import entry, load_bundle, write_bundle
from stt_server.speech.decoder.choice import usual_search
from stt_server.speech.files import read_audio, write_flac
from stt_server.speech.recognizer import Recognizer
from tests.bundles import spoken
from tests.voices import Samples, say
from training.evaluate import false_words, hear, kit_clips, moved, rates
from training.golden import choose_golden
from training.kit import make_kit, steady_noise
from training.recipe import Kit
from training.sentences import SentenceSource

SEARCH = usual_search()


def clip(folder: Path, name: str, text: str, samples: Samples, source: str) -> Clip:
    write_flac(folder / name, samples)
    return Clip(folder / name, text, source)


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy that may be written to, with a kit of its own words."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    (folder / "kit").mkdir()
    rows = ["source,split,speaker,path,duration_s,transcript"]
    for name, text, samples in (
        ("a", "stop", spoken("stop")),
        ("b", "", np.zeros(16000, np.float32)),
        ("c", "", spoken("yes")),
    ):
        write_flac(folder / "kit" / f"{name}.flac", samples)
        rows.append(f"{'kit-clean' if text else 'kit-quiet'},test,,{name}.flac,{len(samples) / 16000:.3f},{text}")
    (folder / "kit" / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    described = load_bundle(folder).manifest.model_dump(mode="json")
    write_bundle(folder, {**described, "kit": entry(folder, "kit/manifest.csv")})
    return folder


def test_every_source_and_the_kit_are_measured_with_every_decoder(bundle: Path, tmp_path: Path) -> None:
    clips = [
        clip(tmp_path, "a.flac", "Stop!", spoken("stop"), "right"),
        clip(tmp_path, "b.flac", "no light", spoken("no", "light"), "right"),
        clip(tmp_path, "c.flac", "yes", spoken("no"), "wrong"),
        clip(tmp_path, "d.flac", "", spoken("no"), "nothing said"),
    ]
    told: list[str] = []
    rows = {(row["source"], row["decoder"]): row for row in rates(hear(bundle, clips, told.append))}
    sources = ("right", "wrong", "kit-clean")
    assert list(rows) == [(source, decoder) for source in sources for decoder in ("greedy", SEARCH)]
    for decoder in ("greedy", SEARCH):
        assert rows["right", decoder]["wer"] == {"value": 0, "low": 0, "high": 0}
        assert rows["right", decoder]["exact"]["value"] == 1
        assert rows["right", decoder]["utterances"] == 2
        assert rows["wrong", decoder]["wer"]["value"] == 1
        assert rows["wrong", decoder]["cer"]["value"] > 0
    assert len(told) == len(rows)


def test_words_heard_where_none_are_spoken_are_counted(bundle: Path) -> None:
    rows = false_words(hear(bundle, [], lambda sentence: None))
    assert rows == [
        {"decoder": "greedy", "clips": 2, "with_words": 1},
        {"decoder": SEARCH, "clips": 2, "with_words": 1},
    ]


def test_what_was_heard_in_a_kit_is_found_where_the_kit_has_gone(bundle: Path, tmp_path: Path) -> None:
    mine = clip(tmp_path, "a.flac", "stop", spoken("stop"), "mine")
    heard = moved(hear(bundle, [mine], lambda sentence: None), bundle, tmp_path / "renamed")
    names = ["a.flac", *(f"renamed/kit/{name}.flac" for name in "abc")]
    assert [[one.clip.path for one in each.heard] for each in heard] == 2 * [[tmp_path / name for name in names]]


def test_a_bundle_without_a_kit_has_no_kit_to_measure(tiny_bundle: Path) -> None:
    assert kit_clips(tiny_bundle) == []
    assert hear(tiny_bundle, [], lambda sentence: None) == []


@pytest.mark.parametrize("lines", [["yes", "stop light", "no no"], ["an entirely unknown sentence"]])
def test_every_load_writes_the_golden_clip_down_alike(lines: list[str], bundle: Path) -> None:
    described = load_bundle(bundle).manifest.model_dump(mode="json")
    golden = choose_golden(bundle, described, SentenceSource(lines, 0.0), seed=1)
    assert golden["text"] in {"", *lines}
    write_bundle(bundle, {**described, "golden": golden})
    for precision in ("fp32", "int8"):
        for decoder in ("greedy", SEARCH):
            recognizer = Recognizer.load(bundle, precision=precision, decoder=decoder)
            assert recognizer.transcribe(read_audio(bundle / golden["path"])).text == golden["text"]


def test_a_kit_is_the_same_each_time_it_is_made(tmp_path: Path) -> None:
    once, again = (make_kit(Kit(utterances=3), None, tmp_path / name) for name in ("once", "again"))
    assert once.read_bytes() == again.read_bytes()
    clips = sorted((tmp_path / "once").glob("*.opus"))
    assert len(clips) == 3 + 20
    for path in clips:
        assert np.array_equal(read_audio(path), read_audio(tmp_path / "again" / path.name))


def test_noise_of_the_kit_has_a_level_of_one_and_many_colours() -> None:
    noises = [steady_noise(16000, np.random.default_rng(seed)) for seed in range(8)]
    assert [float(noise.std()) for noise in noises] == pytest.approx([1] * 8, abs=0.01)
    slopes = [np.abs(np.diff(noise)).mean() for noise in noises]
    assert max(slopes) > 2 * min(slopes)


def test_held_out_voices_speak_what_the_kits_manifest_says(tmp_path: Path) -> None:
    """Loud enough to be heard, and at least as long as the same words spoken fast."""
    manifest = make_kit(Kit(utterances=2), None, tmp_path)
    rows = [line.split(",") for line in manifest.read_text(encoding="utf-8").splitlines()[1:3]]
    for _, _, _, name, _, text in rows:
        samples = read_audio(tmp_path / name)
        assert np.abs(samples).max() > 0.05
        assert len(samples) > 0.5 * len(say(text))
