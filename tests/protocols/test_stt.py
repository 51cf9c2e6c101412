"""The rules that let three kinds of client share one path; tests/web/test_stt.py drives them over sockets."""

import json
import struct

import pytest

from stt_server.errors import BadAudio, BadOption, Unsupported
from stt_server.messages import AudioSpec, Final, Transcript, Word
from stt_server.protocols import stt

SAID = Transcript(
    "first",
    "en",
    1.5,
    (Final(0, "naïve test", (Word("naïve", 0, 1, 0.9), Word("test", 1, 1.5, 0.8)), 0, 1.5, "finish"),),
)


def spec(rate: int) -> AudioSpec:
    return AudioSpec("s16le", rate, 1)


@pytest.mark.parametrize(
    ("query", "content_type", "rate"),
    [
        ({}, "", 16000),
        ({"format": "16K_PCM16"}, "", 16000),
        ({"format": "8k_pcm16"}, "", 8000),
        ({"sample_rate": "44100", "sample_width": "2"}, "", 44100),
        ({}, "audio/x-raw-int; rate=8000; channels=1", 8000),
        ({}, "application/octet-stream; rate=8000", 16000),
        ({"lang": "de", "key": "x", "limit": "1"}, "application/x-www-form-urlencoded", 16000),
    ],
)
def test_a_body_that_is_no_file_is_raw_audio_at_the_rate_somebody_stated(query, content_type, rate):
    assert stt.raw_spec("", b"\0" * 64, query, content_type) == spec(rate)


@pytest.mark.parametrize("container", ["wav", "flac", "ogg", "webm or matroska"])
@pytest.mark.parametrize("query", [{}, {"format": "8K_PCM16"}, {"sample_rate": "x"}])
def test_what_looks_like_a_file_is_one_whatever_the_request_says(container, query):
    assert stt.raw_spec(container, b"RIFF", query, "audio/x-flac") is None


def test_a_format_that_names_a_file_is_never_read_as_raw_audio():
    assert stt.raw_spec("", b"garbage!", {"format": "wav"}, "") is None


@pytest.mark.parametrize(
    ("query", "field", "kind"),
    [
        ({"format": "16K_PCM32"}, "format", Unsupported),
        ({"sample_rate": "fast"}, "sample_rate", BadOption),
        ({"sample_width": "4"}, "sample_width", BadOption),
    ],
)
def test_a_raw_format_that_cannot_be_is_an_error_that_names_the_field(query, field, kind):
    with pytest.raises(kind) as caught:
        stt.raw_spec("", b"\0" * 64, query, "")
    assert caught.value.field == field


@pytest.mark.parametrize("quiet", [(-1, 5, 3, -2), (-1, 200, 0, 0), (-257, 16, 1, 1)])
def test_quiet_raw_audio_whose_first_samples_look_like_an_mpeg_frame_stays_raw(quiet):
    assert stt.raw_spec("mp3", struct.pack("<4h", *quiet), {}, "") == spec(16000)


def test_an_mp3_frame_is_a_file_unless_the_client_said_raw():
    frame = b"\xff\xfb\x90\x64"
    assert stt.raw_spec("mp3", frame, {}, "audio/mpeg") is None
    assert stt.raw_spec("mp3", frame, {"format": "16K_PCM16"}, "") == spec(16000)
    assert stt.raw_spec("mp3", b"ID3\x04", {"format": "16K_PCM16"}, "") is None


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/json", True),
        ("text/*;q=1, Application/JSON;q=0.5", True),
    ],
)
def test_json_is_for_those_who_ask_for_it_by_name(accept, wanted):
    assert stt.wants_json(accept) is wanted


def test_a_text_answer_has_a_charset_and_no_newline():
    assert stt.answer(SAID, as_json=False, took_s=0.1) == ("naïve test", "text/plain; charset=utf-8")


def test_silence_is_an_empty_answer():
    assert stt.answer(Transcript("first", "en", 2.0), as_json=False, took_s=0.1)[0] == ""


def test_a_json_answer_has_what_rhasspy_reads_and_what_ran():
    body, kind = stt.answer(SAID, as_json=True, took_s=0.25)
    assert kind == "application/json; charset=utf-8"
    assert json.loads(body) == {
        "text": "naïve test",
        "likelihood": 0.85,
        "transcribe_seconds": 0.25,
        "wav_seconds": 1.5,
        "model": "first",
    }


def test_an_error_has_an_empty_body_since_mycroft_would_act_on_its_text():
    body, _, headers = stt.refusal(BadAudio("the wav\r\nis cut after “3” bytes"), as_json=False)
    assert body == ""
    assert headers == {"X-Earloop-Error": "bad_audio: the wav is cut after ?3? bytes"}


def test_an_error_for_a_client_that_asked_for_json_is_json():
    body, kind, _ = stt.refusal(BadAudio("the wav is cut"), as_json=True)
    assert kind == "application/json; charset=utf-8"
    assert json.loads(body)["error"] == {"code": "bad_audio", "message": "the wav is cut", "field": None}
