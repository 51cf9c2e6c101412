import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import BadAudio, BadOption
from stt_server.speech.pcm import BYTES_PER_SAMPLE, AudioFormat, decode_pcm, encode_pcm

ENCODINGS = sorted(BYTES_PER_SAMPLE)


def decode_in_pieces(fmt: AudioFormat, data: bytes, sizes: list[int]) -> np.ndarray:
    pieces, rest, at = [], b"", 0
    for size in [*sizes, len(data)]:
        samples, rest = decode_pcm(fmt, data[at : at + size], rest)
        pieces.append(samples)
        at += size
    return np.concatenate(pieces)


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"encoding": "s16be"}, "encoding", "s16le, f32le, mulaw, alaw"),
        ({"sample_rate": 7999}, "sample_rate", "8000 to 48000"),
        ({"sample_rate": 96_000}, "sample_rate", "8000 to 48000"),
        ({"sample_rate": 16_000.0}, "sample_rate", "16000.0"),
        ({"channels": 0}, "channels", "1 to 8"),
        ({"channels": True}, "channels", "True"),
    ],
)
def test_impossible_format_names_the_field_and_what_is_allowed(options, field, said):
    with pytest.raises(BadOption) as caught:
        AudioFormat(**options)
    assert caught.value.field == field
    assert field in caught.value.message
    assert said in caught.value.message


def test_misspelt_encoding_names_the_nearest():
    with pytest.raises(BadOption, match="did you mean s16le"):
        AudioFormat("s16")


def test_sixteen_bit_samples_survive_the_way_there_and_back():
    every_value = np.arange(-32768, 32768).astype("<i2").tobytes()
    fmt = AudioFormat("s16le")
    samples, rest = decode_pcm(fmt, every_value)
    assert samples.dtype == np.float32
    assert rest == b""
    assert samples.min() == -1.0
    assert encode_pcm(fmt, samples) == every_value


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_every_companded_code_decodes_to_a_value_that_encodes_back(law):
    fmt = AudioFormat(law, 8000)
    codes = bytes(range(256))
    values, _ = decode_pcm(fmt, codes)
    again, _ = decode_pcm(fmt, encode_pcm(fmt, values))
    np.testing.assert_array_equal(again, values)


def test_companding_follows_the_published_tables():
    # ITU-T G.711 tables 1a/1b and 2a/2b, decoder output values at 16-bit scale.
    for law, scale, expected in [
        ("mulaw", 4, {0x80: 8031, 0x8F: 4191, 0xEF: 33, 0xFE: 2, 0xFF: 0, 0x00: -8031, 0x7E: -2}),
        ("alaw", 8, {0xD5: 1, 0xAA: 4032, 0x55: -1, 0x2A: -4032, 0xC5: 33}),
    ]:
        values, _ = decode_pcm(AudioFormat(law, 8000), bytes(expected))
        np.testing.assert_array_equal(values * 32768, np.array(list(expected.values())) * scale)


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
def test_companding_keeps_a_loud_sine_within_38_db(law):
    sine = (0.5 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)
    fmt = AudioFormat(law, 8000)
    heard, _ = decode_pcm(fmt, encode_pcm(fmt, sine))
    noise_db = 10 * np.log10(np.mean((heard - sine) ** 2) / np.mean(sine**2))
    assert -45 < noise_db < -36


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_silence_stays_silent(encoding):
    fmt = AudioFormat(encoding, 16_000)
    heard, _ = decode_pcm(fmt, encode_pcm(fmt, np.zeros(100, np.float32)))
    assert np.abs(heard).max() <= 8 / 32768  # A-law has no zero


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_channels_are_mixed_by_their_mean(channels):
    frames = np.random.default_rng(0).uniform(-1, 1, (50, channels)).astype(np.float32)
    fmt = AudioFormat("f32le", 16_000, channels)
    samples, _ = decode_pcm(fmt, encode_pcm(fmt, frames))
    np.testing.assert_allclose(samples, frames.mean(axis=1), atol=1e-6)


@given(
    encoding=st.sampled_from(ENCODINGS),
    channels=st.integers(1, 8),
    frames=st.integers(0, 60),
    extra=st.integers(0, 31),
    sizes=st.lists(st.integers(0, 40), max_size=40),
)
def test_cutting_the_bytes_anywhere_changes_no_sample(encoding, channels, frames, extra, sizes):
    fmt = AudioFormat(encoding, 16_000, channels)
    noise = np.random.default_rng(frames).uniform(-1, 1, (frames, channels)).astype(np.float32)
    data = encode_pcm(fmt, noise) + b"\1" * (extra % fmt.frame_bytes)
    whole, rest = decode_pcm(fmt, data)
    assert len(whole) == frames
    assert len(rest) == extra % fmt.frame_bytes
    np.testing.assert_array_equal(decode_in_pieces(fmt, data, sizes), whole)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_float_samples_that_are_no_numbers_are_refused(bad):
    data = np.array([0.1, bad, 0.2], "<f4").tobytes()
    with pytest.raises(BadAudio, match="finite"):
        decode_pcm(AudioFormat("f32le"), data)


def test_sixteen_bit_values_sent_as_floats_are_refused_with_the_remedy():
    with pytest.raises(BadAudio, match="divide"):
        decode_pcm(AudioFormat("f32le"), np.array([1200.0], "<f4").tobytes())


def test_a_slight_overshoot_is_kept_in_float_and_clipped_in_16_bit():
    data = np.array([1.5, -1.5], "<f4").tobytes()
    samples, _ = decode_pcm(AudioFormat("f32le"), data)
    np.testing.assert_array_equal(samples, [1.5, -1.5])
    assert np.frombuffer(encode_pcm(AudioFormat("s16le"), samples), "<i2").tolist() == [32767, -32768]


def test_mono_is_encoded_to_every_channel():
    data = encode_pcm(AudioFormat("s16le", 16_000, 2), np.array([0.5, -0.5], np.float32))
    assert np.frombuffer(data, "<i2").tolist() == [16384, 16384, -16384, -16384]
