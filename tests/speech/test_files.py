import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadAudio, BadInput, EarloopError, NotFound, TooLarge, Unsupported
from stt_server.speech.files import open_audio, read_audio, write_flac, write_wav
from stt_server.speech.sniff import sniff
from tests.voices import say

SPEECH = say("turn on the kitchen lights")


def encoded(container: str, subtype: str, samples: np.ndarray = SPEECH, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def wav_with_sizes(riff_size: int, data_size: int) -> bytes:
    wav = bytearray(encoded("WAV", "PCM_16"))
    assert wav[36:40] == b"data"
    wav[4:8], wav[40:44] = struct.pack("<I", riff_size), struct.pack("<I", data_size)
    return bytes(wav)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    shorter = min(len(a), len(b))
    return float(np.corrcoef(a[:shorter], b[:shorter])[0, 1])


def samples_or_error(data: bytes) -> np.ndarray | str:
    try:
        return read_audio(data, max_s=60)
    except EarloopError as error:
        return error.message


@pytest.mark.parametrize(
    ("container", "subtype", "name", "worst"),
    [
        ("WAV", "PCM_16", "wav", 1.0),
        ("WAV", "PCM_U8", "wav", 0.99),
        ("WAV", "PCM_24", "wav", 1.0),
        ("WAV", "FLOAT", "wav", 1.0),
        ("WAV", "ULAW", "wav", 0.999),
        ("WAV", "ALAW", "wav", 0.999),
        ("WAV", "IMA_ADPCM", "wav", 0.98),
        ("WAVEX", "PCM_16", "wav", 1.0),
        ("RF64", "PCM_16", "wav", 1.0),
        ("AIFF", "PCM_16", "aiff", 1.0),
        ("FLAC", "PCM_16", "flac", 1.0),
        ("OGG", "OPUS", "ogg/opus", 0.9),
        ("OGG", "VORBIS", "ogg/vorbis", 0.95),
        ("MP3", "MPEG_LAYER_III", "mp3", 0.95),
    ],
)
@pytest.mark.parametrize("way", ["path", "bytes", "file"])
def test_every_format_is_read_from_a_path_from_bytes_and_from_a_file(tmp_path, container, subtype, name, worst, way):
    data = encoded(container, subtype)
    misleading = tmp_path / "speech.txt"
    misleading.write_bytes(data)
    source = {"path": misleading, "bytes": data, "file": io.BytesIO(data)}[way]
    with open_audio(source) as reader:
        assert reader.container == name
        assert reader.sample_rate == 16_000
        assert reader.duration_s == pytest.approx(len(SPEECH) / 16_000, abs=0.15)
        heard = np.concatenate(list(reader.blocks()))
    assert heard.dtype == np.float32
    assert correlation(heard, SPEECH) >= worst - 1e-4


def test_blocks_are_at_most_a_second_and_join_to_the_whole():
    long = np.tile(SPEECH, 3)
    with open_audio(encoded("WAV", "FLOAT", long)) as reader:
        blocks = list(reader.blocks())
    assert max(map(len, blocks)) <= 16_000
    np.testing.assert_array_equal(np.concatenate(blocks), long)


@pytest.mark.parametrize("rate", [4000, 8000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_rate_comes_out_at_the_rate_asked_for(rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    heard = read_audio(encoded("WAV", "FLOAT", tone, rate))
    assert len(heard) == 16_000
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(heard[800:-800], wanted[800:-800], atol=2e-3)


def test_channels_are_mixed():
    stereo = np.stack([SPEECH, -SPEECH], axis=1)
    assert np.abs(read_audio(encoded("WAV", "FLOAT", stereo))).max() < 1e-6


@pytest.mark.parametrize(
    ("riff", "data"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0xFFFFFFFF, 0), (0x7FFFF024, 0x7FFFF000)],
    ids=["ffmpeg", "gstreamer", "mixed", "espeak"],
)
@pytest.mark.parametrize("way", ["path", "bytes"])
def test_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, riff, data, way):
    wav = wav_with_sizes(riff, data)
    path = tmp_path / "piped"
    path.write_bytes(wav)
    np.testing.assert_array_equal(read_audio(path if way == "path" else wav), read_audio(encoded("WAV", "PCM_16")))


def test_wav_cut_inside_its_samples_gives_the_samples_that_are_there():
    wav = encoded("WAV", "PCM_16")
    np.testing.assert_array_equal(read_audio(wav[:2045]), read_audio(wav)[:1000])


@pytest.mark.parametrize("length", [4, 11, 12, 20, 30, 36, 43])
def test_wav_cut_inside_its_header_is_bad_audio(length):
    with pytest.raises(BadAudio, match="cut inside its header"):
        read_audio(encoded("WAV", "PCM_16")[:length])


def test_file_without_samples_is_bad_audio():
    with pytest.raises(BadAudio, match="no samples"):
        read_audio(encoded("WAV", "PCM_16", np.zeros(0, np.float32)))


def test_empty_wav_with_chunks_behind_its_data_is_not_read_as_sound():
    chunk = b"LIST" + struct.pack("<I", 4) + b"INFO"
    wav = bytearray(encoded("WAV", "PCM_16", np.zeros(0, np.float32)) + chunk)
    wav[4:8] = struct.pack("<I", len(wav) - 8)
    with pytest.raises(BadAudio, match="no samples"):
        read_audio(bytes(wav))


def test_wav_of_endless_header_chunks_is_refused():
    with pytest.raises(BadAudio, match="no data"):
        read_audio(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 10_000)


def test_no_bytes_are_bad_audio():
    with pytest.raises(BadAudio, match="empty"):
        read_audio(b"")


def test_flac_of_open_length_is_read():
    flac = bytearray(encoded("FLAC", "PCM_16"))
    flac[21] &= 0xF0  # the 36 bits of the sample count in STREAMINFO
    flac[22:26] = bytes(4)
    with open_audio(bytes(flac)) as reader:
        assert reader.duration_s is None
    np.testing.assert_allclose(read_audio(bytes(flac)), SPEECH, atol=1 / 32768)


@pytest.mark.parametrize(("container", "subtype"), [("FLAC", "PCM_16"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_damaged_compressed_file_is_an_error_or_shorter_but_no_crash(container, subtype):
    data = bytearray(encoded(container, subtype, np.tile(SPEECH, 8)))
    data[len(data) // 2 :] = b"\x55" * 400
    heard = samples_or_error(bytes(data))
    assert "damaged" in heard if isinstance(heard, str) else 0 < len(heard) <= 8.2 * len(SPEECH)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b".snd" + bytes(60), "au"),
        (b'{"text": "hello"}', "text"),
        (b"<html></html>", "html"),
        (b"OggS" + bytes(24) + b"Speex   " + bytes(30), "ogg file with a codec"),
        (b"RIFF\x10\0\0\0AVI " + bytes(20), "RIFF"),
        (bytes(64), "begins with"),
    ],
)
def test_other_formats_are_refused_by_what_was_seen_and_what_is_understood(data, seen):
    with pytest.raises(Unsupported) as caught:
        read_audio(data)
    assert seen in caught.value.message
    assert "wav, aiff, flac, ogg (opus, vorbis, flac), mp3" in caught.value.message


def test_raw_samples_are_not_taken_for_mp3():
    assert sniff(b"\xff\xff\xff\xff" * 16) == ""
    assert sniff(np.arange(-30, 2, dtype="<i2").tobytes()) == ""


def test_rates_and_channels_beyond_ours_are_refused():
    with pytest.raises(Unsupported, match="3000 Hz"):
        open_audio(encoded("WAV", "PCM_16", SPEECH, 3000))
    with pytest.raises(Unsupported, match="9 channels"):
        open_audio(encoded("WAV", "PCM_16", np.zeros((100, 9), np.float32)))


def test_float_file_with_nan_is_bad_audio():
    with pytest.raises(BadAudio, match="finite"):
        read_audio(encoded("WAV", "FLOAT", np.array([0.1, np.nan], np.float32)))


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(NotFound, match=r"nowhere\.wav"):
        open_audio(tmp_path / "nowhere.wav")
    with pytest.raises(BadInput, match="cannot be read"):
        open_audio(tmp_path)


def test_length_of_what_comes_out_can_be_bounded():
    hour_of_silence = encoded("FLAC", "PCM_16", np.zeros(16_000 * 60, np.float32))
    assert len(hour_of_silence) < 100_000
    with pytest.raises(TooLarge, match="30 s"):
        read_audio(hour_of_silence, max_s=30)


@pytest.mark.parametrize("write", [write_wav, write_flac])
def test_written_file_reads_back_to_the_16_bit_samples(tmp_path, write):
    write(tmp_path / "clip", SPEECH)
    heard = read_audio(tmp_path / "clip")
    np.testing.assert_array_equal(np.rint(heard * 32768), np.rint(SPEECH * 32768))
    again = io.BytesIO()
    write(again, heard)
    assert again.getvalue() == (tmp_path / "clip").read_bytes()


def test_a_path_is_closed_after_reading_and_a_callers_file_is_not(tmp_path):
    write_wav(tmp_path / "clip.wav", SPEECH)
    with (tmp_path / "clip.wav").open("rb") as file:
        read_audio(file)
        assert not file.closed
    reader = open_audio(tmp_path / "clip.wav")
    reader.close()
    assert reader._owned is not None
    assert reader._owned.closed


def test_header_that_sends_the_reader_before_the_file_raises_nothing_of_its_own():
    aiff = bytearray(encoded("AIFF", "PCM_16"))
    assert aiff[38:42] == b"SSND"
    aiff[38:42] = b"\xff" * 4  # libsndfile then seeks to -1; an error raised in its callback could only be printed
    with pytest.raises(BadAudio, match="aiff header is damaged"):
        read_audio(bytes(aiff))


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(["WAV PCM_16", "FLAC PCM_16", "OGG VORBIS", "AIFF PCM_16"]),
    damage=st.lists(st.tuples(st.integers(0, 300), st.binary(min_size=1, max_size=8)), max_size=4),
    cut=st.integers(0, 6000),
)
def test_whatever_the_bytes_the_answer_is_samples_or_one_of_our_errors(kind, damage, cut):
    container, subtype = kind.split()
    data = bytearray(encoded(container, subtype, SPEECH[:2000]))
    for at, what in damage:
        data[at : at + len(what)] = what
    heard = samples_or_error(bytes(data[:cut]))
    assert heard if isinstance(heard, str) else np.isfinite(heard).all()
