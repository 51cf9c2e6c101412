import io
import tracemalloc

import numpy as np
import pytest

from stt_server.errors import BadAudio, BadOption, NotFound
from stt_server.messages import Open, Transcript
from stt_server.speech.files import write_flac, write_wav
from stt_server.speech.offline import transcribe_files
from tests.bundles import spoken
from tests.voices import white_noise


def wav(*words, gap_s=0.25):
    made = io.BytesIO()
    write_wav(made, spoken(*words, gap_s=gap_s))
    return made


def heard(recognizer, sources, options=None, **more):
    """Of each source the text, or the kind of its error."""
    outcomes = transcribe_files(recognizer, sources, options, **more)
    return [each.text if isinstance(each, Transcript) else type(each) for each in outcomes]


@pytest.mark.parametrize("together", [1, 2, 4, 16])
def test_files_stacked_are_heard_as_each_alone_and_told_in_their_order(tiny, together):
    said = [("stop",), ("yes", "no", "yes"), ("light",), ("no",), ("stop", "light", "stop"), ("yes",)]
    sources = [wav(*words, gap_s=0.2 + 0.1 * i) for i, words in enumerate(said)]
    assert heard(tiny, sources, together=together) == [" ".join(words) for words in said]


@pytest.mark.parametrize("together", [1, 3])
def test_files_that_end_in_the_same_step_make_room_for_the_next(tiny, together):
    assert heard(tiny, [wav("stop") for _ in range(7)], together=together) == ["stop"] * 7


@pytest.mark.parametrize("together", [1, 2, 16])
def test_a_file_that_is_missing_or_cut_is_an_error_in_its_place(tiny, tmp_path, together):
    flac = io.BytesIO()
    write_flac(flac, spoken("stop", "light", "no", "yes"))
    cut = io.BytesIO(flac.getvalue()[: len(flac.getvalue()) // 2])
    sources = [tmp_path / "none.wav", wav("yes"), cut, wav("no"), tmp_path / "none.wav"]
    assert heard(tiny, sources, together=together) == [NotFound, "yes", BadAudio, "no", NotFound]
    assert heard(tiny, [tmp_path / "none.wav"] * 40, together=together) == [NotFound] * 40


def test_an_option_that_cannot_be_is_an_error_of_every_file(tiny):
    assert heard(tiny, [wav("yes")], Open("test", decoder="magic")) == [BadOption]


def test_no_files_give_nothing(tiny):
    assert heard(tiny, []) == []


def test_a_long_file_takes_no_more_memory_than_a_short_one(tiny, tmp_path):
    half_minute = np.concatenate([spoken("yes"), white_noise(28.0, -60)])
    peaks = []
    for repeats in (2, 20):
        write_flac(tmp_path / "long.flac", np.tile(half_minute, repeats))
        tracemalloc.start()
        try:
            assert heard(tiny, [tmp_path / "long.flac"], Open("test", decoder="greedy")) == [
                " ".join(["yes"] * repeats)
            ]
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0]
