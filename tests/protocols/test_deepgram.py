"""What a Deepgram query asks for, how errors look, what a recording is answered: without a server."""

import json

import pytest

from stt_server import errors
from stt_server.errors import BadOption
from stt_server.messages import AudioSpec, Endpointing, Final, Transcript, Word
from stt_server.protocols import deepgram
from stt_server.protocols.deepgram import query
from stt_server.protocols.deepgram.refusals import close_code, close_reason

REQUEST = deepgram.Request("an id", "a hash", "2026-11-21T00:00:00.000Z")


def asked(text: str = "", *, live: bool = True, models: frozenset[str] = frozenset()) -> deepgram.Asked:
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in text.split("&") if each)]
    return deepgram.parse_query(pairs, live=live, models=models)


def warned(text: str, *, live: bool = True) -> list[str]:
    return [each.parameter for each in asked(text, live=live).warnings]


def test_a_query_without_anything_is_a_file_that_arrives_by_the_servers_own_endpointing():
    assert asked() == deepgram.Asked(coded="file")


@pytest.mark.parametrize(
    ("encoding", "audio", "coded"),
    [
        ("linear16", AudioSpec("s16le", 8000, 2), None),
        ("linear32", AudioSpec("f32le", 8000, 2), None),
        ("mulaw", AudioSpec("mulaw", 8000, 2), None),
        ("alaw", AudioSpec("alaw", 8000, 2), None),
        ("opus", AudioSpec(channels=2), "opus"),
        ("ogg-opus", AudioSpec(channels=2), "file"),
        ("flac", AudioSpec(channels=2), "file"),
        ("", AudioSpec(channels=2), "file"),
    ],
)
def test_every_encoding_says_how_the_audio_is_heard(encoding, audio, coded):
    found = asked(f"encoding={encoding}&sample_rate=8000&channels=2")
    assert (found.audio, found.coded) == (audio, coded)


@pytest.mark.parametrize("encoding", query.NOT_HERE)
def test_an_encoding_that_is_not_here_is_refused_by_its_name(encoding):
    with pytest.raises(BadOption, match=encoding) as refused:
        asked(f"encoding={encoding}&sample_rate=8000")
    assert refused.value.field == "encoding"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Endpointing()),
        ("endpointing=true", Endpointing()),
        ("endpointing=300", Endpointing(silence_ms=300)),
        ("endpointing=10", Endpointing(silence_ms=100)),
        ("endpointing=false", None),
    ],
)
def test_endpointing_is_a_pause_or_a_switch(text, expected):
    assert asked(text).endpointing == expected
    assert warned(text) == (["endpointing"] if text == "endpointing=10" else [])


def test_keyterms_and_keywords_are_hotwords_with_the_boosts_they_have():
    found = asked("keyterm=living room&keyterm=earloop&keywords=kitchen:2.5&keywords=plain&keywords=9:30")
    assert found.hotwords == ("living room", "earloop", "kitchen", "plain", "9")
    assert found.boosts == (("kitchen", 2.5), ("9", 30.0))


def test_who_opts_out_or_wants_nothing_kept_is_not_collected():
    assert asked("mip_opt_out=false").collect
    assert not asked("mip_opt_out=true").collect
    assert not asked("collect=false").collect


def test_a_model_of_ours_runs_and_another_is_warned_of():
    assert asked("model=first", models=frozenset({"first"})) == deepgram.Asked(coded="file", model="first")
    found = asked("model=nova-3")
    assert found.model == ""
    assert [each.type for each in found.warnings] == ["unsupported_model"]


@pytest.mark.parametrize("name", query.DRESSING)
def test_what_dresses_the_text_is_warned_of_when_it_is_on(name):
    assert warned(f"{name}=true") == [name]
    assert warned(f"{name}=false") == []


@pytest.mark.parametrize("name", query.REFUSED)
def test_what_an_answer_would_be_mistaken_without_is_refused(name):
    assert not warned(f"{name}=false")
    for live in (True, False):
        with pytest.raises(BadOption) as refused:
            asked(f"{name}=yes", live=live)
        assert refused.value.field == name


def test_an_option_of_the_other_kind_and_an_unknown_one_are_warned_of():
    assert warned("utterances=true&paragraphs=true&utt_split=1") == ["utterances", "paragraphs", "utt_split"]
    assert warned("interim_results=true&vad_events=true&punctuation=1", live=False) == [
        "interim_results",
        "vad_events",
        "punctuation",
    ]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("encoding=linear16", "sample_rate"),
        ("encoding=pcm&sample_rate=16000", "encoding"),
        ("encoding=linear16&sample_rate=4000", "sample_rate"),
        ("encoding=linear16&sample_rate=x", "sample_rate"),
        ("channels=0", "channels"),
        ("channels=21", "channels"),
        ("multichannel=maybe", "multichannel"),
        ("multichannel=true&multichannel=false", "multichannel"),
        ("interim_results=7", "interim_results"),
        ("endpointing=-1", "endpointing"),
        ("endpointing=soon", "endpointing"),
        ("utterance_end_ms=1000", "utterance_end_ms"),
        ("interim_results=true&utterance_end_ms=999", "utterance_end_ms"),
        ("interim_results=true&utterance_end_ms=5001", "utterance_end_ms"),
        ("keywords=kitchen:-3", "keywords"),
        ("extra=none", "extra"),
        ("tag=" + "x" * 3000, "extra"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_parameter(text, field):
    with pytest.raises(BadOption) as refused:
        asked(text)
    assert refused.value.field == field


@pytest.mark.parametrize("value", ["0", "-1", "x", "61", "nan"])
def test_a_split_that_cannot_be_is_refused(value):
    with pytest.raises(BadOption) as refused:
        asked(f"utt_split={value}", live=False)
    assert refused.value.field == "utt_split"


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (None, 1000, b""),
        (errors.Idle("nothing"), 1011, b"NET-0001: nothing"),
        (errors.TimedOut("late"), 1011, b"NET-0000: late"),
        (errors.BadAudio("noise"), 1008, b"DATA-0000: noise"),
        (errors.Unsupported("amr"), 1008, b"DATA-0000: amr"),
        (errors.TooLarge("much"), 1009, b"DATA-0000: much"),
        (errors.Busy("full"), 1013, b"busy: full"),
        (errors.Internal("oh"), 1011, b"internal: oh"),
    ],
)
def test_a_stream_ends_with_deepgrams_codes(error, code, reason):
    assert (close_code(error), close_reason(error)) == (code, reason)


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (errors.Unauthorized("who?"), "INVALID_AUTH"),
        (errors.Forbidden("no"), "INSUFFICIENT_PERMISSIONS"),
        (errors.LimitReached("enough"), "TOO_MANY_REQUESTS"),
        (errors.BadOption("bad", field="hotwords"), "INVALID_QUERY_PARAMETER"),
        (errors.TooLarge("much"), "PAYLOAD_TOO_LARGE"),
        (errors.BadAudio("noise"), "PAYLOAD_ERROR"),
        (errors.Busy("full"), "BUSY"),
    ],
)
def test_a_plain_refusal_has_deepgrams_shape_and_headers(error, category):
    text, headers = deepgram.refusal(error, "an id")
    body = json.loads(text)
    assert list(body) == ["category", "message", "details", "request_id"]
    assert (body["category"], body["message"]) == (category, error.message)
    assert headers == {"dg-request-id": "an id", "dg-error": error.message}
    assert ("keyterm" in body["details"]) == (error.field == "hotwords")


def test_a_header_holds_no_letter_that_it_cannot():
    assert deepgram.header("é\r\nx: y") == "???x: y"


def heard(*starts: float, audio_s: float = 9.0) -> Transcript:
    """A word of 0.2 s at each of these moments."""
    words = tuple(Word(f"w{at:g}", at, at + 0.2, 0.5) for at in starts)
    text = " ".join(word.text for word in words)
    return Transcript("first", "en", audio_s, (Final(0, text, words, 0.0, audio_s, "finish"),), "first 2")


def answered(text: str, *said: Transcript) -> dict:
    return json.loads(deepgram.answer(asked(text, live=False), REQUEST, said))


def test_an_answer_has_what_the_clients_require():
    said = answered("", heard(1, 2))
    assert said["metadata"]["model_info"][said["metadata"]["models"][0]] == {
        "name": "first",
        "version": "2",
        "arch": "earloop",
    }
    assert {"transaction_key", "request_id", "sha256", "created", "duration", "channels"} < set(said["metadata"])
    (best,) = said["results"]["channels"][0]["alternatives"]
    assert best == {
        "transcript": "w1 w2",
        "confidence": 0.5,
        "words": [
            {"word": "w1", "start": 1, "end": 1.2, "confidence": 0.5},
            {"word": "w2", "start": 2, "end": 2.2, "confidence": 0.5},
        ],
    }
    assert set(said["results"]) == {"channels"}


def test_utterances_are_cut_at_pauses_and_those_of_all_channels_are_in_order():
    said = answered("utterances=true&utt_split=0.8&multichannel=true", heard(1, 1.5, 4), heard(2))
    found = [
        (each["channel"], each["transcript"], each["start"], each["end"]) for each in said["results"]["utterances"]
    ]
    assert found == [(0, "w1 w1.5", 1, 1.7), (1, "w2", 2, 2.2), (0, "w4", 4, 4.2)]
    assert len({each["id"] for each in said["results"]["utterances"]}) == 3


def test_paragraphs_are_made_of_utterances_since_nothing_is_punctuated():
    (channel,) = answered("paragraphs=true", heard(1, 1.5, 3, 7))["results"]["channels"]
    found = channel["alternatives"][0]["paragraphs"]
    assert found["transcript"] == "w1 w1.5 w3\n\nw7"
    first, second = found["paragraphs"]
    assert [each["text"] for each in first["sentences"]] == ["w1 w1.5", "w3"]
    assert (first["num_words"], first["start"], first["end"]) == (3, 1, 3.2)
    assert second["num_words"] == 1


def test_silence_is_answered_with_empty_lists():
    said = answered("utterances=true&paragraphs=true", heard())
    assert said["results"]["utterances"] == []
    assert said["results"]["channels"][0]["alternatives"][0]["paragraphs"] == {"transcript": "", "paragraphs": []}
