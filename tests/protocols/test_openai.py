import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import (
    BadAudio,
    BadInput,
    BadOption,
    Busy,
    Forbidden,
    Internal,
    LimitReached,
    NotFound,
    TooLarge,
    Unauthorized,
    Unsupported,
)
from stt_server.messages import Endpointing, Final, Transcript, Word
from stt_server.protocols import openai
from stt_server.protocols.openai.subtitles import LINE, LINES, LONGEST_S, cues


def final(text: str, start_s: float = 0.0, *, each_s: float = 0.5, confidence: float = 0.5) -> Final:
    """An utterance whose words follow each other without a pause."""
    words = tuple(
        Word(word, round(start_s + each_s * i, 3), round(start_s + each_s * (i + 1), 3), confidence)
        for i, word in enumerate(text.split())
    )
    return Final(0, text, words, start_s, words[-1].end_s if words else start_s, "silence")


SAID = Transcript("first", "en", 3.5, (final("turn on"), final(""), final("the light", 2.0)))
FORM = [
    ("model", "whisper-1"),
    ("language", "en"),
    ("response_format", "text"),
    ("temperature", "0"),
    ("prompt", ""),
]


def asked(**fields: str) -> openai.Request:
    return openai.parse_form(fields.items())


def said(**fields: str) -> dict:
    body, kind = openai.answer(SAID, asked(**fields))
    assert kind == "application/json; charset=utf-8"
    return json.loads(body)


# ------------------------------------------------------------------------------------------------------------- the form


def test_a_form_as_the_official_client_fills_it():
    assert openai.parse_form(FORM) == openai.Request("whisper-1", "en", response_format="text")


def test_an_empty_form_means_the_defaults():
    request = openai.parse_form([])
    assert request == openai.Request()
    assert (request.response_format, request.segments, request.words, request.stream) == ("json", True, False, False)


@pytest.mark.parametrize("name", ["keywords", "keywords[]"])
def test_an_array_comes_as_repeated_fields_with_or_without_brackets(name):
    assert openai.parse_form([(name, "ear"), (name, ""), (name, "loop")]).keywords == ("ear", "loop")


@pytest.mark.parametrize("name", ["timestamp_granularities", "timestamp_granularities[]"])
@pytest.mark.parametrize(("wanted", "words", "segments"), [("w", True, False), ("s", False, True), ("ws", True, True)])
def test_granularities_choose_words_segments_or_both(name, wanted, words, segments):
    granularities = [(name, {"w": "word", "s": "segment"}[each]) for each in wanted]
    request = openai.parse_form([("response_format", "verbose_json"), *granularities])
    assert (request.words, request.segments) == (words, segments)


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"response_format": "diarized_json"}, "response_format", "speakers told apart"),
        ({"response_format": "x" * 500}, "response_format", "use json, text, srt, vtt or verbose_json"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "needs response_format=verbose_json"),
        ({"timestamp_granularities": "letter", "response_format": "verbose_json"}, "timestamp_granularities", "word"),
        ({"include[]": "logprobs", "response_format": "text"}, "include", "response_format=json"),
        ({"include": "speakers"}, "include", "logprobs"),
        ({"stream": "perhaps"}, "stream", "true or false"),
        ({"stream": "true", "response_format": "srt"}, "response_format", "cannot be streamed"),
        ({"temperature": "warm"}, "temperature", "from 0 to 1"),
        ({"temperature": "nan"}, "temperature", "from 0 to 1"),
        ({"temperature": "1.5"}, "temperature", "from 0 to 1"),
        ({"chunking_strategy": "none"}, "chunking_strategy", "server_vad"),
        ({"chunking_strategy": "[" * 9999}, "chunking_strategy", "server_vad"),
        ({"chunking_strategy": '{"silence_duration_ms": 300}'}, "chunking_strategy", "server_vad"),
        ({"chunking_strategy": '{"type": "server_vad", "colour": 1}'}, "chunking_strategy", "no 'colour'"),
        (
            {"chunking_strategy[type]": "server_vad", "chunking_strategy[silence_duration_ms]": "20"},
            "chunking_strategy",
            r"\[silence_duration_ms\] must be a number from 100 to 10000",
        ),
        (
            {"chunking_strategy": '{"type": "server_vad", "threshold": 3}'},
            "chunking_strategy",
            r"\[threshold\] must be a number from 0 to 1",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_and_what_can(fields, param, words):
    with pytest.raises(BadOption, match=words) as caught:
        asked(**fields)
    assert caught.value.field == param
    assert len(caught.value.message) < 200


def test_too_many_keywords_are_refused():
    with pytest.raises(BadOption, match="at most 900"):
        openai.parse_form([("keywords[]", "word")] * 901)


def test_keywords_of_too_many_letters_are_refused_and_long_phrases_of_a_prompt_passed_over():
    with pytest.raises(BadOption, match="at most 10000") as caught:
        openai.parse_form([("keywords[]", "x" * 5001)] * 2)
    assert caught.value.field == "keywords"
    assert asked(prompt=f"ear, {'x' * 81}").prompt == ("ear",)


def test_a_form_without_a_file_is_refused():
    with pytest.raises(BadInput, match="no file"):
        openai.require_file(present=False)


@pytest.mark.parametrize("fields", [{}, {"language": "en"}, {"language": "EN-us"}, {"languages[]": "en_GB"}])
def test_the_models_language_may_be_named_in_any_region(fields):
    openai.check_language(asked(**fields), "en")


def test_one_of_several_languages_is_enough():
    openai.check_language(openai.parse_form([("languages[]", "de"), ("languages[]", "en")]), "en")


@pytest.mark.parametrize("name", ["language", "languages"])
def test_a_language_the_model_does_not_know_is_refused_by_the_field_that_named_it(name):
    with pytest.raises(BadOption, match="knows 'en', not 'de'") as caught:
        openai.check_language(asked(**{name: "de"}), "en")
    assert caught.value.field == name


@pytest.mark.parametrize(
    "fields",
    [
        {"chunking_strategy": '{"type": "server_vad", "silence_duration_ms": 300}'},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[silence_duration_ms]": "300"},
    ],
)
def test_the_silence_of_a_chunking_strategy_ends_utterances(fields):
    assert asked(**fields).endpointing == Endpointing(silence_ms=300)


def test_the_automatic_chunking_strategy_is_the_servers():
    assert asked(chunking_strategy="auto").endpointing == Endpointing()


@pytest.mark.parametrize(
    ("prompt", "phrases"),
    [
        ("Kubernetes, Prometheus,\nEar  Loop", ("Kubernetes", "Prometheus", "Ear Loop")),
        ("Glossary: earloop; earloop", ("Glossary", "earloop")),
        ("and so we went on to speak of other things for the rest of that day", ()),
        (" ,;. ", ()),
    ],
)
def test_a_prompt_that_lists_terms_gives_phrases_and_prose_gives_none(prompt, phrases):
    assert asked(prompt=prompt).prompt == phrases


def test_the_phrases_of_a_prompt_are_bounded():
    assert len(asked(prompt=",".join(f"word{i}" for i in range(5000))).prompt) == 100


def test_keywords_are_hotwords_and_the_prompts_phrases_hints():
    request = openai.parse_form([("prompt", "ear, loop"), ("keywords[]", "vosk")])
    assert (request.keywords, request.prompt) == (("vosk",), ("ear", "loop"))


def test_what_has_no_effect_is_named():
    fields = [
        ("temperature", "0.4"),
        ("known_speaker_names[]", "agent"),
        ("chunking_strategy[type]", "server_vad"),
        ("chunking_strategy[threshold]", "0.5"),
        ("prompt", "a long sentence that goes on and on"),
        ("no such field\r\nX-Evil", "1"),
    ]
    dead = ("temperature", "prompt", "chunking_strategy[threshold]", "known_speaker_names")
    assert openai.ignored(openai.parse_form(fields), takes_hotwords=True) == dead


@pytest.mark.parametrize(("takes_hotwords", "names"), [(True, ()), (False, ("prompt",))])
def test_a_prompts_phrases_have_an_effect_where_the_decoder_takes_them(takes_hotwords, names):
    request = asked(keywords="vosk", prompt="ear, loop", temperature="0", model="whisper-1")
    assert openai.ignored(request, takes_hotwords=takes_hotwords) == names


# ---------------------------------------------------------------------------------------------------------- the answers


def test_a_json_answer_names_what_ran():
    usage = {"type": "duration", "seconds": 3.5}
    assert said() == {"text": "turn on the light", "model": "first", "usage": usage}


def test_log_probabilities_spell_the_text_and_come_from_the_words_confidences():
    found = said(**{"include[]": "logprobs"})["logprobs"]
    assert "".join(each["token"] for each in found) == "turn on the light"
    assert [bytes(each["bytes"]).decode() for each in found] == ["turn", " on", " the", " light"]
    assert {each["logprob"] for each in found} == {round(math.log(0.5), 4)}


def test_a_word_of_no_confidence_at_all_has_a_finite_log_probability():
    one = Transcript("first", "en", 1.0, (final("so", confidence=0.0),))
    body, _ = openai.answer(one, asked(include="logprobs"))
    assert json.loads(body)["logprobs"][0]["logprob"] == round(math.log(1e-4), 4)


def test_a_text_answer_is_the_text():
    assert openai.answer(SAID, asked(response_format="text")) == ("turn on the light", "text/plain; charset=utf-8")


def test_a_verbose_answer_has_a_segment_with_all_ten_keys_for_each_utterance():
    answer = said(response_format="verbose_json")
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "en", 3.5)
    assert "words" not in answer
    first, second = answer["segments"]
    assert first == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 1.0,
        "text": " turn on",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(math.log(0.5), 4),
        "compression_ratio": pytest.approx(7 / 15, abs=1e-4),
        "no_speech_prob": 0.0,
    }
    assert (second["id"], second["start"], second["text"]) == (1, 2.0, " the light")


def test_a_verbose_answer_has_words_where_those_are_wanted_and_then_no_segments():
    answer = said(response_format="verbose_json", timestamp_granularities="word")
    assert answer["words"][-1] == {"word": "light", "start": 2.5, "end": 3.0}
    assert "segments" not in answer


def test_srt_numbers_its_cues():
    body, kind = openai.answer(SAID, asked(response_format="srt"))
    assert kind == "text/plain; charset=utf-8"
    assert body == (
        "1\n00:00:00,000 --> 00:00:01,000\nturn on\n\n2\n00:00:02,000 --> 00:00:03,000\nthe light\n"
    )  # fmt: skip


def test_vtt_begins_with_its_name():
    body, kind = openai.answer(SAID, asked(response_format="vtt"))
    assert kind == "text/vtt; charset=utf-8"
    assert body == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nturn on\n\n00:00:02.000 --> 00:00:03.000\nthe light\n"
    )  # fmt: skip


def test_vtt_escapes_what_it_would_take_for_markup():
    body, _ = openai.answer(Transcript("m", "en", 1.0, (final("<b> & -->"),)), asked(response_format="vtt"))
    assert "&lt;b&gt; &amp; --&gt;" in body


@pytest.mark.parametrize(("wanted", "empty"), [("srt", ""), ("vtt", "WEBVTT\n")])
def test_silence_has_no_cues(wanted, empty):
    assert openai.answer(Transcript("m", "en", 9.0, (final(""),)), asked(response_format=wanted))[0] == empty


def test_times_beyond_an_hour_are_written_out():
    body, _ = openai.answer(Transcript("m", "en", 1.0, (final("so", 3725.0),)), asked(response_format="srt"))
    assert "01:02:05,000 --> 01:02:05,500" in body


def test_a_second_of_pause_begins_a_new_cue():
    words = (Word("one", 0.0, 0.5, 1.0), Word("two", 1.4, 1.9, 1.0), Word("three", 2.9, 3.4, 1.0))
    shown = list(cues([Final(0, "one two three", words, 0.0, 3.4, "silence")]))
    assert [cue.lines for cue in shown] == [("one two",), ("three",)]


def test_a_text_without_times_is_spread_over_its_utterance():
    (cue,) = cues([Final(0, "la la", (), 1.0, 3.0, "silence")])
    assert (cue.start_s, cue.end_s, cue.lines) == (1.0, 3.0, ("la la",))


UTTERANCES = st.lists(
    st.tuples(
        st.lists(st.text("abc'", min_size=1, max_size=14), max_size=40).map(" ".join),
        st.floats(0.0, 3.0),
        st.floats(0.04, 2.0),
    ),
    max_size=5,
)


def finals_of(drawn: list[tuple[str, float, float]]) -> list[Final]:
    """One behind the other."""
    finals, at_s = [], 0.0
    for text, pause_s, each_s in drawn:
        finals.append(final(text, at_s + pause_s, each_s=each_s))
        at_s = finals[-1].end_s
    return finals


@given(drawn=UTTERANCES)
def test_cues_can_be_read_and_lose_no_word(drawn):
    finals = finals_of(drawn)
    shown, over_s = list(cues(finals)), 0.0
    assert " ".join(" ".join(cue.lines) for cue in shown).split() == " ".join(each.text for each in finals).split()
    for cue in shown:
        assert len(cue.lines) <= LINES
        assert all(len(line) <= LINE for line in cue.lines)
        assert over_s <= cue.start_s <= cue.end_s <= cue.start_s + LONGEST_S + 1e-9
        over_s = cue.end_s


@given(drawn=UTTERANCES)
def test_every_line_of_vtt_is_one_of_its_grammar(drawn):
    body, _ = openai.answer(Transcript("m", "en", 9.0, tuple(finals_of(drawn))), asked(response_format="vtt"))
    time = r"\d{2,}:[0-5]\d:[0-5]\d\.\d{3}"
    assert re.fullmatch(rf"WEBVTT\n(\n{time} --> {time}\n([^\n]+\n){{1,2}})*", body)


# ----------------------------------------------------------------------------------------------------------- the events


def events(text: str) -> list[dict]:
    """The JSON of a stream's events, which must be followed by [DONE]."""
    blocks = text.split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    assert all(block.startswith("data: ") for block in blocks[:-1])
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


def streamed(finals: tuple[Final, ...], *, logprobs: bool = False) -> list[dict]:
    deltas = openai.Deltas(logprobs=logprobs)
    told = [event for each in finals if (event := deltas.of(each))]
    return events("".join(told) + deltas.done(Transcript("first", "en", 9.0, finals)) + openai.DONE)


def test_a_stream_says_each_utterance_then_all_of_it_with_its_usage():
    assert streamed(SAID.finals) == [
        {"type": "transcript.text.delta", "delta": "turn on"},
        {"type": "transcript.text.delta", "delta": " the light"},
        {
            "type": "transcript.text.done",
            "text": "turn on the light",
            "model": "first",
            "usage": {"type": "duration", "seconds": 9.0},
        },
    ]


@given(drawn=UTTERANCES)
def test_the_deltas_always_spell_the_text_of_the_whole(drawn):
    finals = tuple(finals_of(drawn))
    *deltas, done = streamed(finals, logprobs=True)
    assert "".join(each["delta"] for each in deltas) == done["text"] == Transcript("first", "en", 9.0, finals).text
    assert "".join(token["token"] for each in deltas for token in each["logprobs"]) == done["text"]
    assert [token for each in deltas for token in each["logprobs"]] == done["logprobs"]


def test_an_error_in_the_middle_of_a_stream_is_an_event_the_clients_raise_on():
    said = openai.failed(Internal("ours"))
    assert json.loads(said.removeprefix("data: "))["error"]["message"] == "ours"
    assert said.endswith("\n\n")


# ----------------------------------------------------------------------------------------------- errors and models


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (BadOption("no", field="model"), "invalid_request_error", "bad_option"),
        (TooLarge("no"), "invalid_request_error", "too_large"),
        (NotFound("no"), "invalid_request_error", "not_found"),
        (NotFound("no", field="model"), "invalid_request_error", "model_not_found"),
        (Unauthorized("who?"), "authentication_error", "invalid_api_key"),
        (Forbidden("no"), "permission_error", "forbidden"),
        (LimitReached("slow down"), "rate_limit_error", "rate_limit_exceeded"),
        (Busy("full"), "overloaded_error", "busy"),
        (Internal("ours"), "server_error", "internal"),
    ],
)
def test_an_error_has_the_shape_the_official_client_reads(error, kind, code):
    said = json.loads(openai.refusal(error))["error"]
    assert said == {"message": error.message, "type": kind, "param": error.field, "code": code}


@pytest.mark.parametrize("error", [BadAudio("cut", field="samples"), Unsupported("9 channels", field="channels")])
def test_an_error_about_the_audio_names_the_field_that_has_it(error):
    assert json.loads(openai.refusal(error))["error"]["param"] == "file"


def test_the_refusal_to_translate_says_what_to_do():
    assert "/v1/audio/transcriptions" in openai.no_translations().message


def test_models_have_the_official_shape_alone_and_in_the_list():
    listed = json.loads(openai.model_list(["first"]))
    assert listed["object"] == "list"
    assert listed["data"] == [{"id": "first", "object": "model", "created": 0, "owned_by": "earloop"}]
    assert json.loads(openai.model_entry("first")) == listed["data"][0]
