"""Pre-flight on real files: each fault is found on the clip that has it, and a sound corpus has none."""

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_server.corpus.checks import check_clips, frames_needed
from stt_server.corpus.clip import Clip
from stt_server.corpus.findings import Kind, Severity, summarise, write_findings_csv
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.files import read_audio, write_flac, write_wav
from tests.voices import say, white_noise


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return recorded(tmp_path / "good.wav", "turn the light on")


def recorded(path: Path, text: str, *, seconds: float = 1.0, gain: float = 0.1, seed: int = 0) -> Clip:
    samples = np.random.default_rng([seed, *path.name.encode()]).normal(0, gain, int(16_000 * seconds))
    write_wav(path, np.clip(samples, -1, 1).astype(np.float32))
    return Clip(path, text, "home", "anna", seconds, "train")


def kinds(*clips: Clip, decode: bool = False) -> list[Kind]:
    return [found.kind for found in check_clips(clips, frame_ms=40, longest_s=10, decode=decode)]


def test_a_sound_clip_has_no_finding(clip: Clip) -> None:
    assert kinds(clip, decode=True) == []


def test_missing_file_is_named(clip: Clip) -> None:
    assert kinds(replace(clip, path=clip.path.with_name("gone.wav"))) == [Kind.MISSING]


@pytest.mark.parametrize("text", ["", "  ", "?!"])
def test_a_text_without_words_is_named(clip: Clip, text: str) -> None:
    assert kinds(replace(clip, text=text)) == [Kind.EMPTY_TEXT]


def test_unspellable_text_is_named_with_its_characters(clip: Clip) -> None:
    (found,) = check_clips([replace(clip, text="打开 on")], frame_ms=40, longest_s=10)
    assert (found.kind, found.is_error) == (Kind.UNSPELLABLE, True)
    assert "'打开'" in found.sentence


def test_too_long_and_unknown_durations_are_told_apart(clip: Clip) -> None:
    assert kinds(replace(clip, duration_s=11.0)) == [Kind.TOO_LONG]
    assert kinds(replace(clip, duration_s=None)) == [Kind.NO_DURATION]
    assert kinds(replace(clip, duration_s=None), decode=True) == []


def test_a_clip_too_short_to_hold_a_sound_is_named(clip: Clip) -> None:
    assert kinds(replace(clip, text="a", duration_s=0.05)) == [Kind.TOO_SHORT]
    assert kinds(replace(clip, text="a", duration_s=0.1)) == []


def test_texts_that_the_alphabet_cannot_spell_are_named_with_their_letters(clip: Clip) -> None:
    alphabet = Alphabet(" efghilnortu")
    found = check_clips([clip, replace(clip, text="Quiz!")], frame_ms=40, longest_s=10, alphabet=alphabet)
    assert [each.kind for each in found] == [Kind.NOT_IN_ALPHABET, Kind.LISTED_TWICE]
    assert "'qz' in 'quiz'" in found[0].sentence


def test_ctc_needs_a_blank_between_doubled_letters() -> None:
    assert frames_needed("hello") == 6
    assert frames_needed("") == 0


def test_text_that_does_not_fit_its_frames_is_named_and_one_that_just_fits_is_not(clip: Clip) -> None:
    assert kinds(replace(clip, text="a" + "bc" * 12)) == []  # 25 characters in 25 frames of 40 ms
    assert kinds(replace(clip, text="a" + "bc" * 12 + "d")) == [Kind.TOO_MANY_CHARACTERS]
    assert kinds(replace(clip, text="abc" * 4 + "d" + "hello hello")) == [
        Kind.TOO_MANY_CHARACTERS
    ]  # two doubled letters
    assert kinds(replace(clip, text="1234567")) == [Kind.TOO_MANY_CHARACTERS]  # counted as it is said


def test_a_file_listed_twice_is_a_warning_and_across_splits_an_error(clip: Clip) -> None:
    (twice,) = check_clips([clip, clip], frame_ms=40, longest_s=10)
    assert (twice.kind, twice.is_error) == (Kind.LISTED_TWICE, False)
    (shared,) = check_clips([clip, replace(clip, split="test")], frame_ms=40, longest_s=10)
    assert (shared.kind, shared.is_error, shared.clip.split) == (Kind.SHARED_RECORDING, True, "test")


def test_a_copied_recording_in_another_split_is_found_by_its_bytes(clip: Clip) -> None:
    copy = clip.path.with_name("copy.wav")
    copy.write_bytes(clip.path.read_bytes())
    assert kinds(clip, replace(clip, path=copy, split="test")) == [Kind.SHARED_RECORDING]
    assert kinds(clip, replace(clip, path=copy)) == []
    assert kinds(clip, replace(clip, path=copy), decode=True) == [Kind.LISTED_TWICE]


def test_a_recording_coded_anew_is_shared_by_its_samples_and_near_by_its_sound(clip: Clip, tmp_path: Path) -> None:
    said = say("turn the light on")
    write_wav(tmp_path / "said.wav", said)
    write_flac(tmp_path / "said.flac", read_audio(tmp_path / "said.wav"))
    write_flac(tmp_path / "quieter.flac", said / 3)
    write_flac(tmp_path / "another.flac", say("turn the light on", pitch=70, rate=161))
    first, *others = [
        replace(clip, path=tmp_path / name, duration_s=None, split=split)
        for name, split in (
            ("said.wav", "train"),
            ("said.flac", "test"),
            ("quieter.flac", "dev"),
            ("another.flac", "dev"),
        )
    ]
    assert kinds(first, others[0], decode=True) == [Kind.SHARED_RECORDING]
    assert kinds(first, others[1], decode=True) == [Kind.NEAR_DUPLICATE]
    assert kinds(first, others[2], decode=True) == []


def test_a_long_sentence_in_two_splits_is_a_warning_once_and_a_short_command_none(clip: Clip, tmp_path: Path) -> None:
    others = [replace(recorded(tmp_path / f"{n}.wav", ""), split="test") for n in range(2)]
    said = "please turn the light on"
    clips = [replace(each, text=said) for each in (clip, *others)]
    assert kinds(*clips) == [Kind.SHARED_SENTENCE]
    assert kinds(clip, *[replace(each, text=clip.text) for each in others]) == []


def test_decoding_finds_damage_silence_clipping_and_wrong_durations(clip: Clip, tmp_path: Path) -> None:
    silent = recorded(tmp_path / "silent.wav", "yes", gain=0.0002)
    loud = recorded(tmp_path / "loud.wav", "yes", gain=3.0)
    short = replace(recorded(tmp_path / "short.wav", "yes"), duration_s=2.0)
    (tmp_path / "damaged.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEgarbage")
    damaged = replace(clip, path=tmp_path / "damaged.wav")
    clips = [clip, silent, loud, short, damaged]
    assert kinds(*clips, decode=True) == [Kind.NEAR_SILENCE, Kind.CLIPPING, Kind.WRONG_DURATION, Kind.UNREADABLE]
    assert kinds(*clips) == []


def test_sound_without_speech_and_files_without_sound_are_told_from_damaged_ones(clip: Clip, tmp_path: Path) -> None:
    write_wav(tmp_path / "rush.wav", white_noise(1.0, -62))
    write_wav(tmp_path / "empty.wav", np.zeros(0, np.float32))
    (tmp_path / "nothing.wav").touch()
    placed = [replace(clip, path=tmp_path / name) for name in ("rush.wav", "empty.wav", "nothing.wav")]
    assert kinds(*placed, decode=True) == [Kind.NO_SPEECH, Kind.EMPTY_AUDIO, Kind.EMPTY_AUDIO]


@pytest.mark.parametrize(
    ("rate", "channels", "expected"),
    [(16_000, 1, []), (8_000, 1, ["low sample rate"]), (44_100, 2, ["resampled", "mixed to mono"])],
)
def test_rates_and_channels_that_are_put_right_are_noticed(clip, tmp_path, rate, channels, expected) -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, (rate, channels))
    soundfile.write(tmp_path / "a.wav", samples, rate)
    found = check_clips([replace(clip, path=tmp_path / "a.wav")], frame_ms=40, longest_s=10, decode=True)
    assert [each.kind for each in found] == expected
    assert not any(each.is_error for each in found)


def test_the_table_has_a_line_a_kind_errors_first_and_the_frequent_before_the_rare(clip: Clip) -> None:
    clips = [replace(clip, text="", split="train"), replace(clip, duration_s=None), *[replace(clip, text="x" * 99)] * 2]
    lines = summarise(check_clips(clips, frame_ms=40, longest_s=10))
    assert [(line.severity, line.kind, line.clips) for line in lines] == [
        (Severity.ERROR, Kind.TOO_MANY_CHARACTERS, 2),
        (Severity.ERROR, Kind.EMPTY_TEXT, 1),
        (Severity.WARNING, Kind.LISTED_TWICE, 3),
        (Severity.WARNING, Kind.NO_DURATION, 1),
    ]
    assert "its text needs 197 frames" in lines[0].example.sentence


def test_workers_find_what_this_process_finds_and_say_how_far_they_are(clip: Clip, tmp_path: Path) -> None:
    clips = [clip, *(recorded(tmp_path / f"{n}.wav", "yes", gain=10.0**-n) for n in range(5))]
    seen: list[tuple[int, int]] = []
    check = partial(check_clips, clips, frame_ms=40, longest_s=10, decode=True)
    assert check(workers=2, progress=lambda *at: seen.append(at)) == check()
    assert seen == [(done, 6) for done in range(1, 7)]


def test_findings_are_written_one_row_each(clip: Clip, tmp_path: Path) -> None:
    findings = check_clips([replace(clip, text=""), clip, clip], frame_ms=40, longest_s=10)
    write_findings_csv(tmp_path / "findings.csv", findings)
    with (tmp_path / "findings.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["severity"], row["kind"], row["speaker"]) for row in rows] == [
        ("error", "empty text", "anna"),
        ("warning", "listed twice", "anna"),
        ("warning", "listed twice", "anna"),
    ]
    assert rows[0]["path"] == str(clip.path)
