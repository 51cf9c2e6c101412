"""Clips are decoded in processes beside this one; none of them can stop or end the whole."""

import multiprocessing
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stt_server.corpus import listening
from stt_server.corpus.listening import Heard, listen, listen_to_all
from stt_server.errors import BadAudio, NotFound, TimedOut, Unsupported
from stt_server.speech.files import read_audio, write_flac
from tests.corpus.recordings import put, record
from tests.voices import say, white_noise


def test_what_was_heard_is_what_is_in_the_file(tmp_path: Path) -> None:
    stereo = np.stack([say("turn it on"), np.zeros_like(say("turn it on"))], axis=1)
    soundfile.write(tmp_path / "a.wav", stereo, 16_000)
    heard = listen(tmp_path / "a.wav")
    assert (heard.sample_rate, heard.channels, heard.clipped_share) == (16_000, 2, 0)
    assert heard.duration_s == len(stereo) / 16_000
    assert heard.peak == pytest.approx(np.abs(stereo).max() / 2, abs=1e-4)
    assert 0.4 < heard.speech_s < heard.duration_s


def test_noise_is_no_speech(tmp_path: Path) -> None:
    write_flac(tmp_path / "noise.flac", white_noise(2, -60))
    assert listen(tmp_path / "noise.flac").speech_s == 0


def test_wav_and_flac_of_the_same_samples_have_the_same_content(tmp_path: Path) -> None:
    wav = record(tmp_path / "a.wav", seconds=2.3)
    write_flac(tmp_path / "b.flac", read_audio(wav))
    assert listen(wav).content == listen(tmp_path / "b.flac").content
    assert listen(wav).content != listen(record(tmp_path / "c.wav", seconds=2.3)).content


def outline(path: Path) -> np.ndarray:
    points = np.frombuffer(listen(path).outline, np.int8).astype(float)
    return points / np.linalg.norm(points)


def test_a_copy_coded_anew_or_at_another_level_has_a_near_outline_and_another_take_has_not(tmp_path: Path) -> None:
    take = say("turn the light on")
    soundfile.write(tmp_path / "take.wav", take, 16_000)
    soundfile.write(tmp_path / "coded.ogg", take * 0.4, 16_000, format="OGG", subtype="VORBIS")
    soundfile.write(tmp_path / "other.wav", say("turn the light on", pitch=70, rate=161), 16_000)
    assert outline(tmp_path / "take.wav") @ outline(tmp_path / "coded.ogg") > 0.995
    assert outline(tmp_path / "take.wav") @ outline(tmp_path / "other.wav") < 0.99


@pytest.mark.parametrize("workers", [0, 2])
def test_every_file_has_an_outcome_whether_it_can_be_read_or_not(tmp_path: Path, workers: int) -> None:
    good = [record(tmp_path / f"{n}.wav") for n in range(5)]
    damaged, text = tmp_path / "damaged.wav", put(tmp_path / "song.wav", "la la la")
    damaged.write_bytes(good[0].read_bytes()[:20])
    seen: list[tuple[int, int]] = []
    heard = listen_to_all([*good, damaged, text, tmp_path / "gone.wav", good[0]], workers, lambda *at: seen.append(at))
    assert [type(heard[path]) for path in good] == [Heard] * 5
    assert [type(heard[path]) for path in (damaged, text, tmp_path / "gone.wav")] == [BadAudio, Unsupported, NotFound]
    assert seen == [(done, 8) for done in range(1, 9)]
    assert multiprocessing.active_children() == []


def test_processes_hear_what_this_one_hears(tmp_path: Path) -> None:
    paths = [record(tmp_path / f"{n}.flac", seconds=0.3 + n / 10) for n in range(6)]
    assert listen_to_all(paths, 2) == listen_to_all(paths)


def test_a_file_that_never_ends_is_named_at_its_deadline_and_the_others_are_heard(tmp_path: Path, monkeypatch) -> None:
    """A pipe that nobody writes to blocks the process that opens it."""
    monkeypatch.setattr(listening, "CLIP_DEADLINE_S", 4.0)
    stuck = tmp_path / "stuck.wav"
    os.mkfifo(stuck)
    others = [record(tmp_path / f"{n}.wav") for n in range(4)]
    heard = listen_to_all([stuck, *others], workers=1)
    assert isinstance(heard[stuck], TimedOut)
    assert "stuck.wav: not decoded within 4 s" in str(heard[stuck])
    assert [type(heard[path]) for path in others] == [Heard] * 4


def test_a_file_whose_process_dies_is_named_and_the_others_are_heard(tmp_path: Path) -> None:
    """The process is killed while it waits for a pipe, as a decoder that overruns its memory would die."""
    stuck = tmp_path / "stuck.wav"
    os.mkfifo(stuck)
    others = [record(tmp_path / f"{n}.wav") for n in range(3)]

    def kill() -> None:
        writer = os.open(stuck, os.O_WRONLY)  # waits until the process has the pipe open
        for child in multiprocessing.active_children():
            child.kill()
        os.close(writer)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    heard = listen_to_all([stuck, *others], workers=1)
    killer.join(10)
    assert "stuck.wav: its decoder crashed on it" in str(heard[stuck])
    assert [type(heard[path]) for path in others] == [Heard] * 3
