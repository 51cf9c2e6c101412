"""`earloop augment listen` on real clips: files that sound as they say."""

from pathlib import Path

import numpy as np
import pytest

from stt_server import cli
from stt_server.speech.features import FeatureRecipe
from stt_server.speech.files import read_audio, write_wav
from tests.voices import say, white_noise
from training.audition import masked, section_at
from training.augmentation.level import rms
from training.augmentation.masks import Stripe
from training.recipe import load_recipe


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "stop it.wav"
    write_wav(path, say("stop it"))
    return path


@pytest.fixture(autouse=True)
def no_corpora(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EARLOOP_CORPORA", raising=False)
    monkeypatch.chdir(tmp_path)


def listen(*words: str | Path | int) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["augment", "listen", *map(str, words)])
    return int(ended.value.code or 0)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.wav"))


def test_every_clip_is_written_as_it_is_and_as_it_may_be_heard(clip: Path, tmp_path: Path, capsys) -> None:
    assert listen(clip, "--output", tmp_path / "out", "--count", 3) == 0
    files = names(tmp_path / "out")
    assert files[0] == "stopit_00_original.wav"
    assert [name[:9] for name in files] == ["stopit_00", "stopit_01", "stopit_02", "stopit_03"]
    assert all("gain" in name for name in files[1:])
    assert np.array_equal(read_audio(tmp_path / "out" / files[0]), read_audio(clip))
    told = capsys.readouterr().out
    assert "original" in told
    assert f"4 files in {tmp_path / 'out'}" in told


def test_without_a_clip_a_sentence_is_spoken(tmp_path: Path) -> None:
    assert listen("tiny", "--count", 1) == 0
    assert names(tmp_path / "heard")[0] == "sentence_00_original.wav"
    assert read_audio(tmp_path / "heard" / "sentence_00_original.wav").any()


def test_the_same_seed_sounds_the_same_and_another_one_other(clip: Path, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert listen(clip, "--output", tmp_path / folder, "--seed", seed) == 0
    assert names(tmp_path / "one") == names(tmp_path / "again") != names(tmp_path / "other")
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_recipe_of_ones_own_with_ranges_that_move(clip: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "name: mine\nextends: tiny\naugmentation: {noise: 1, made_noise: 1, snr_db: {from: [30, 30], to: [0, 0]}}\n"
    )
    assert listen(recipe, clip, "--output", tmp_path / "early", "--count", 1) == 0
    assert listen(recipe, clip, "--output", tmp_path / "late", "--count", 1, "--at", 1) == 0
    assert "_noise30dB_" in names(tmp_path / "early")[1]
    assert "_noise0dB_" in names(tmp_path / "late")[1]


def test_what_is_set_is_drawn(clip: Path, tmp_path: Path) -> None:
    changes = ("opus=1", "speaker=1", "clipping=1", "lead=0", "empty=0", "speed=0", "telephone=0")
    words = [word for change in changes for word in ("--set", f"augmentation.{change}")]
    assert listen(clip, "--count", 1, *words) == 0
    drawn = names(tmp_path / "heard")[1].split("_")[2:5]
    starts = ("speaker", "clipping", "opus")
    assert all(word.startswith(start) for word, start in zip(drawn, starts, strict=True)), drawn


def test_clips_of_the_same_name_do_not_overwrite_each_other(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / clip.name
    write_wav(other, white_noise(0.5, -20))
    assert listen(clip, other, "--count", 1) == 0
    assert len(names(tmp_path / "heard")) == 4


def test_noise_that_is_not_here_is_told_of_and_left_out(clip: Path, tmp_path: Path, capsys) -> None:
    assert listen(clip, "--set", "data.noise=[noise]", "--count", 1) == 0
    assert "without recorded noises and rooms: no noise 'noise'" in capsys.readouterr().err
    assert len(names(tmp_path / "heard")) == 2


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["absent.wav"], "absent.wav: there is no such file"),
        (["absent.yaml"], "there is no recipe 'absent.yaml'"),
        (["--set", "augmentation.opsu=1"], "there is no key `augmentation.opsu`; did you mean `opus`?"),
        (["--set", "augmentation.snr_db=3"], "`augmentation.snr_db`: write [low, high], or {from:"),
    ],
)
def test_mistakes_end_with_a_sentence(words: list[str], complaint: str, tmp_path: Path, capsys) -> None:
    assert listen(*words) in {2, 3}
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "heard").exists()


def test_without_sounddevice_files_are_written_and_a_sentence_says_why_nothing_is_played(
    clip: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stt_server.commands.augment.find_spec", lambda name: None)
    assert listen(clip, "--count", 1, "--play") == 0
    assert "sounddevice is not installed, so nothing is played" in capsys.readouterr().err
    assert len(names(tmp_path / "heard")) == 2


def test_masked_bands_and_moments_are_not_heard() -> None:
    features, noise = FeatureRecipe(), white_noise(2, -20)
    quiet = masked(noise, [Stripe(in_time=True, start=50, width=20)], features)
    assert not quiet[8000:11200].any()
    assert np.array_equal(quiet[:8000], noise[:8000])
    narrow = masked(noise, [Stripe(in_time=False, start=60, width=20)], features)
    assert rms(narrow) < 0.8 * rms(noise)
    spectrum = np.abs(np.fft.rfft(narrow)) / np.abs(np.fft.rfft(noise))
    hertz = np.fft.rfftfreq(len(noise), 1 / 16000)
    assert np.median(spectrum[(hertz > 5000) & (hertz < 7000)]) < 0.1
    assert np.median(spectrum[(hertz > 500) & (hertz < 2500)]) > 0.9


def test_the_calm_end_of_a_run_is_heard_with_its_own_section() -> None:
    recipe = load_recipe("en-small")
    assert section_at(recipe, 0.79) == recipe.augmentation
    assert section_at(recipe, 0.81) == recipe.calm != recipe.augmentation
