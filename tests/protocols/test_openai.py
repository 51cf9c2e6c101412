import json

import pytest

from stt_server.errors import BadInput, BadOption, Busy, Internal, TooLarge
from stt_server.messages import Final, Transcript
from stt_server.protocols import openai

SAID = Transcript(
    "first", "en", 1.5, (Final(0, "turn on", (), 0, 1.5, "silence"), Final(1, "the light", (), 2, 3, "finish"))
)


def test_a_form_as_the_official_client_fills_it():
    form = [
        ("model", "whisper-1"),
        ("language", "en"),
        ("response_format", "text"),
        ("temperature", "0"),
        ("prompt", ""),
    ]
    assert openai.parse_form(form) == openai.Request("whisper-1", "en", "text")


def test_an_empty_form_means_the_defaults():
    assert openai.parse_form([]) == openai.Request(None, None, "json")


@pytest.mark.parametrize("name", ["keywords", "keywords[]"])
def test_an_array_comes_as_repeated_fields_with_or_without_brackets(name):
    assert openai.parse_form([(name, "ear"), (name, ""), (name, "loop")]).keywords == ("ear", "loop")


@pytest.mark.parametrize("wanted", ["srt", "verbose_json", "diarized_json", "x" * 500])
def test_a_format_we_cannot_give_is_refused_and_the_error_names_those_we_can(wanted):
    with pytest.raises(BadOption, match="use json or text") as caught:
        openai.parse_form([("response_format", wanted)])
    assert caught.value.field == "response_format"


def test_streaming_is_refused_and_no_streaming_is_not():
    assert openai.parse_form([("stream", "False")]).response_format == "json"
    with pytest.raises(BadOption, match="stream"):
        openai.parse_form([("stream", "true")])


def test_too_many_keywords_are_refused():
    with pytest.raises(BadOption, match="at most 500"):
        openai.parse_form([("keywords[]", "word")] * 501)


def test_a_form_without_a_file_is_refused():
    with pytest.raises(BadInput, match="no file"):
        openai.require_file(present=False)


def test_a_json_answer_names_what_ran():
    body, kind = openai.answer(SAID, "json")
    assert kind.startswith("application/json")
    usage = {"type": "duration", "seconds": 1.5}
    assert json.loads(body) == {"text": "turn on the light", "model": "first", "usage": usage}


def test_a_text_answer_is_the_text():
    assert openai.answer(SAID, "text") == ("turn on the light", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadOption("no", field="model"), "invalid_request_error"),
        (TooLarge("no"), "invalid_request_error"),
        (Busy("full"), "overloaded_error"),
        (Internal("ours"), "server_error"),
    ],
)
def test_an_error_has_the_shape_the_official_client_reads(error, kind):
    said = json.loads(openai.refusal(error))["error"]
    assert said == {"message": error.message, "type": kind, "param": error.field, "code": error.code}


def test_the_model_list_has_the_official_shape():
    listed = json.loads(openai.model_list(["first"]))
    assert listed["object"] == "list"
    assert listed["data"] == [{"id": "first", "object": "model", "created": 0, "owned_by": "earloop"}]
