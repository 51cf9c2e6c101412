"""Audio that is decoded while it arrives: any cutting gives the same samples, and nothing is asked for twice."""

import io
import struct
import threading

import numpy as np
import pytest
import soundfile

from stt_server.errors import BadAudio, EarloopError, Unsupported
from stt_server.speech import containers
from stt_server.speech.arriving import Pipe, arriving
from stt_server.speech.files import read_audio
from tests.recordings import recording
from tests.voices import say

SPEECH = say("turn on the light")
PATIENCE_S = 60.0


def decoded(data: bytes, size: int, coded: str = "file", channels: int = 1, *, apart: bool = False) -> list[np.ndarray]:
    """Every channel's samples, where so many bytes come at once."""
    pipe = Pipe(lambda: None)
    for at in range(0, len(data), size):
        pipe.put(data[at : at + size])
    pipe.end()
    blocks = list(arriving(pipe, coded, channels, apart=apart))
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def stereo(kind: str = "WAV", rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.stack([SPEECH, -SPEECH / 2], axis=1), rate, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "webm"])
def test_any_cutting_gives_the_samples_of_the_whole_file(kind: str):
    data = recording(kind, SPEECH)
    whole = decoded(data, len(data))[0]
    for size in (7, 1000) if kind in {"wav", "webm"} else (1000,):
        np.testing.assert_array_equal(decoded(data, size)[0], whole)
    offline = read_audio(data)
    assert abs(len(whole) - len(offline)) < 0.1 * 16_000
    if kind in {"wav", "flac"}:  # the others have two decoders, which differ where silence was put before
        np.testing.assert_array_equal(whole, offline)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_channels_are_mixed_or_apart(kind: str):
    left, right = decoded(stereo(kind), 999, channels=2, apart=True)
    np.testing.assert_allclose(left, SPEECH, atol=1e-4)
    np.testing.assert_allclose(right, -SPEECH / 2, atol=1e-4)
    np.testing.assert_allclose(decoded(stereo(kind), 999)[0], SPEECH / 4, atol=1e-4)
    with pytest.raises(BadAudio, match=r"2 channel\(s\)"):
        decoded(stereo(kind), 999, channels=1, apart=True)


def test_the_reader_is_hungry_only_when_all_that_came_is_decoded_and_taken():
    data = recording("wav", SPEECH)
    hungry, heard = threading.Event(), list[int]()
    pipe = Pipe(hungry.set)

    def read() -> None:
        heard.extend(len(block) for (block,) in arriving(pipe, "file", 1, apart=False))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for at in range(0, len(data), 4044):
            assert hungry.wait(PATIENCE_S)
            assert sum(heard) == max(0, at - 44) // 2
            hungry.clear()
            pipe.put(data[at : at + 4044])
    finally:
        pipe.end()
        thread.join(PATIENCE_S)
    assert sum(heard) == len(SPEECH)


def test_nothing_at_all_is_nothing():
    assert decoded(b"", 1) == []


def wav_header(*, tag: int = 1, bits: int = 16, rate: int = 16_000, channels: int = 1, more: bytes = b"") -> bytes:
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    return b"RIFF\xff\xff\xff\xffWAVE" + more + b"fmt \x10\0\0\0" + fmt + b"data\xff\xff\xff\xff"


def test_a_wav_header_with_a_made_up_length_and_other_chunks_is_read():
    samples = np.arange(-100, 100, dtype="<i2")
    data = wav_header(more=b"LIST\x03\0\0\0abc\0") + samples.tobytes() + b"\0"
    np.testing.assert_array_equal(decoded(data, 5)[0], samples.astype(np.float32) / 32768)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"no audio at all, whatever one may think of it, it is only some text here", Unsupported),
        (b"RIFF\0\0\0\0AVI ", EarloopError),
        (b"RIFF\0\0\0\0WAVEfmt ", BadAudio),
        (wav_header()[:40], BadAudio),
        (b"RIFF\0\0\0\0WAVEdata\xff\xff\xff\xff" + bytes(99), BadAudio),
        (b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\x7f" + bytes(70_000), BadAudio),
        (wav_header(bits=24), Unsupported),
        (wav_header(rate=1000), Unsupported),
        (wav_header(channels=9), Unsupported),
        (b"\x1aE\xdf\xa3" + bytes(500), BadAudio),
        (b"fLaC" + bytes(500), BadAudio),
        (b"OggS" + bytes(500), Unsupported),
        (b"#!AMR\n" + bytes(500), Unsupported),
    ],
)
def test_what_cannot_be_read_is_refused(data: bytes, kind: type[EarloopError]):
    with pytest.raises(kind):
        decoded(data + b"\0" if len(data) % 2 else data, 100)


def test_a_message_that_is_no_opus_packet_is_refused():
    with pytest.raises(BadAudio, match="packet"):
        decoded(b"\xff\xff\xff", 3, "opus")


def test_without_pyav_wav_is_read_and_the_rest_is_refused_with_what_brings_it(monkeypatch: pytest.MonkeyPatch):
    def missing(kind: str, name: str) -> None:
        raise Unsupported(f"{name}: {kind}: {containers.MISSING}")

    monkeypatch.setattr(containers, "pyav", missing)
    assert len(decoded(recording("wav", SPEECH), 1000)[0]) == len(SPEECH)
    for data, coded in ((recording("flac", SPEECH), "file"), (b"\xf8\xff\xfe", "opus")):
        with pytest.raises(Unsupported, match=r"earloop\[av\]"):
            decoded(data, 1000, coded)
