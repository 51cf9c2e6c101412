"""Files that only FFmpeg reads, made on the spot; and what is said of them where PyAV is missing."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadAudio, EarloopError, TooLarge, Unsupported
from stt_server.speech import containers
from stt_server.speech.files import open_audio, read_audio
from tests.recordings import BY_PYAV, OPENAIS, muxed, recording
from tests.speech.test_files import correlation, samples_or_error
from tests.voices import say, trimmed

SPEECH = trimmed(say("turn on the kitchen lights"))
WITHOUT_PYAV = """
import sys
sys.modules["av"] = None  # what an import of it then raises is what it raises where it is not installed
from stt_server.errors import EarloopError
from stt_server.speech.files import read_audio
for path in sys.argv[1:]:
    try:
        print(len(read_audio(path)))
    except EarloopError as error:
        print(error.http_status, error.message)
"""


def aligned(heard: np.ndarray) -> float:
    """Correlation at the best delay: coders put up to a tenth of a second before the sound."""
    return max(correlation(heard[delay:], SPEECH) for delay in range(1600))


@pytest.mark.parametrize("kind", OPENAIS)
@pytest.mark.parametrize("way", ["path", "bytes", "file"])
def test_every_format_of_openais_list_is_read_by_its_first_bytes(tmp_path, kind, way):
    data = recording(kind, SPEECH)
    misleading = tmp_path / "speech.txt"
    misleading.write_bytes(data)
    heard = read_audio({"path": misleading, "bytes": data, "file": io.BytesIO(data)}[way])
    assert len(heard) == pytest.approx(len(SPEECH), abs=1700)
    assert aligned(heard) > 0.9


@pytest.mark.parametrize(
    ("muxer", "encoder", "kind"),
    [
        ("mp4", "aac", "mp4"),
        ("mp4", "alac", "mp4"),
        ("mp4", "libopus", "mp4"),
        ("mov", "aac", "mp4"),
        ("matroska", "libopus", "webm"),
        ("mpeg", "mp2", "mpeg"),
        ("adts", "aac", "aac"),
        ("mp2", "mp2", "mp3"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_codecs_in_their_containers_are_read(muxer, encoder, kind, channels):
    data = muxed(muxer, encoder, SPEECH, channels=channels)
    with open_audio(data) as reader:
        assert (reader.container, reader.sample_rate, reader.channels) == (kind, 48_000, channels)
        assert reader.duration_s is None or reader.duration_s == pytest.approx(len(SPEECH) / 16_000, abs=0.2)
    heard = read_audio(data)
    assert heard.dtype == np.float32
    assert aligned(heard) > 0.9


def test_lossless_sound_comes_back_to_the_bit_of_its_16():
    heard = read_audio(muxed("mp4", "alac", SPEECH, rate=16_000))
    np.testing.assert_allclose(heard[: len(SPEECH)], SPEECH, atol=1.5 / 32768)


def test_a_frame_that_would_be_larger_than_any_that_is_written_is_refused(monkeypatch):
    """A header of alac may ask for frames of half a gigabyte; here those of 4096 samples are too many."""
    monkeypatch.setattr(containers, "MAX_FRAME_VALUES", 4095)
    with pytest.raises(BadAudio, match="damaged"):
        read_audio(muxed("mp4", "alac", SPEECH, rate=16_000))


def test_blocks_last_about_a_second_however_long_the_file():
    with open_audio(recording("webm", np.tile(SPEECH, 8))) as reader:
        lengths = [len(block) for block in reader.blocks()]
    assert len(lengths) > 8
    assert max(lengths) < 1.1 * reader.sample_rate
    assert min(lengths[:-1]) >= reader.sample_rate


def test_length_is_bounded_while_decoding_and_not_after():
    small = recording("webm", np.zeros(16_000 * 120, np.float32))
    assert len(small) < 100_000
    with pytest.raises(TooLarge, match="30 s"):
        read_audio(small, max_s=30)


@pytest.mark.parametrize("kind", ["mp4", "m4a", "webm"])
def test_a_file_cut_inside_its_header_is_bad_audio(kind):
    with pytest.raises(BadAudio, match="damaged, cut|no samples"):
        read_audio(recording(kind, SPEECH)[:80])


def test_a_webm_cut_in_the_middle_as_by_a_closed_browser_gives_what_is_there():
    data = recording("webm", np.tile(SPEECH, 4))
    assert len(read_audio(data[: len(data) // 2])) == pytest.approx(2 * len(SPEECH), rel=0.2)


def test_sound_that_changes_its_rate_is_refused_rather_than_read_at_the_wrong_speed():
    two = muxed("adts", "aac", SPEECH, rate=48_000) + muxed("adts", "aac", SPEECH, rate=16_000)
    with pytest.raises(BadAudio, match="changes its sample rate"):
        read_audio(two)


def test_a_codec_that_is_not_on_the_list_is_named():
    with pytest.raises(Unsupported, match="pcm_s16le"):
        read_audio(muxed("matroska", "pcm_s16le", SPEECH))


def test_a_file_without_sound_is_refused():
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        track = container.add_stream("mpeg4", rate=25, width=64, height=64)
        track.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    with pytest.raises(Unsupported, match="none that is known"):
        read_audio(file.getvalue())


def test_a_playlist_does_not_make_us_read_what_it_names(tmp_path):
    """FFmpeg, asked to guess, follows the addresses in HLS and concat lists."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(recording("wav", SPEECH))
    for text in (f"#EXTM3U\n#EXTINF:1,\n{secret}\n", f"ffconcat version 1.0\nfile {secret}\n"):
        with pytest.raises(Unsupported, match="no audio file we know"):
            read_audio(text.encode())


def test_without_pyav_its_formats_are_refused_with_the_command_and_the_others_are_read(tmp_path):
    for kind in OPENAIS:
        (tmp_path / kind).write_bytes(recording(kind, SPEECH))
    command = [sys.executable, "-c", WITHOUT_PYAV, *(str(tmp_path / kind) for kind in OPENAIS)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    for kind, line in zip(OPENAIS, lines, strict=True):
        if kind in BY_PYAV:
            assert line.startswith("415 ")
            assert "pip install 'earloop[av]'" in line
            assert kind.replace("m4a", "mp4") in line
        else:
            assert int(line) > 16_000


def test_nothing_is_printed_about_damaged_files(capfd):
    for kind in BY_PYAV:
        data = bytearray(recording(kind, SPEECH))
        data[len(data) // 2 :: 7] = b"\x55" * len(data[len(data) // 2 :: 7])
        samples_or_error(bytes(data))
    assert capfd.readouterr() == ("", "")


SMALL = {kind: recording(kind, SPEECH[:4000]) for kind in BY_PYAV}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(list(BY_PYAV)),
    damage=st.lists(st.tuples(st.integers(8, 4000), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.integers(0, 6000),
)
def test_whatever_the_bytes_the_answer_is_samples_or_one_of_our_errors(kind, damage, cut):
    data = bytearray(SMALL[kind])
    for at, what in damage:
        data[at : at + len(what)] = what
    try:
        heard = read_audio(bytes(data[:cut] if cut < 5000 else data), max_s=60)
    except EarloopError as error:
        assert error.message
    else:
        assert np.isfinite(heard).all()
