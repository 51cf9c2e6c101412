"""The rules of plain requests, which are functions: any request is understood or refused with a typed error."""

from __future__ import annotations

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import EarloopError
from stt_server.messages import AudioSpec, Final, Transcript
from stt_server.protocols import deepgram, openai, stt
from stt_server.speech.sniff import sniff
from tests.fuzz import inputs
from tests.fuzz.budget import both_runs, counted, drawn, played
from tests.fuzz.talk import SOUNDS

SPOKEN = Transcript("m", "en", 1.0, tuple(sound for sound in SOUNDS if isinstance(sound, Final)))
REFUSAL_BYTES = 4096
MAX_HOTWORDS = 1000  # keywords and what a prompt lists


@both_runs
def test_any_stt_request_is_a_file_raw_audio_or_a_typed_error(nightly: bool):
    name = "/stt requests"

    @drawn(name, nightly=nightly)
    @given(head=inputs.HEADS, query=inputs.STT_QUERIES, content_type=inputs.CONTENT_TYPES, accept=inputs.LETTERS)
    def check(head: bytes, query: dict[str, str], content_type: str, accept: str) -> None:
        played[name] += 1
        assert isinstance(stt.wants_json(accept), bool)
        try:
            spec = stt.raw_spec(sniff(head), head, query, content_type)
        except EarloopError as error:
            empty, _, headers = stt.refusal(error, as_json=False)
            assert empty == ""
            assert headers[stt.ERROR_HEADER].isprintable()
            assert headers[stt.ERROR_HEADER].isascii()
            body, _, _ = stt.refusal(error, as_json=True)
            assert json.loads(body.encode("utf-8"))["error"]["code"] == error.code
            assert len(body) <= REFUSAL_BYTES
        else:
            assert spec is None or spec == AudioSpec("s16le", spec.sample_rate, 1)

    with counted(name, nightly=nightly):
        check()


@both_runs
def test_any_deepgram_query_is_understood_or_a_typed_error_in_its_shape(nightly: bool):
    name = "Deepgram queries"

    @drawn(name, nightly=nightly)
    @given(query=inputs.DEEPGRAM_QUERIES, live=st.booleans())
    def check(query: list[tuple[str, str]], live: bool) -> None:
        played[name] += 1
        try:
            asked = deepgram.parse_query(query, live=live)
        except EarloopError as error:
            body, headers = deepgram.refusal(error, "an id")
            assert set(json.loads(body.encode("utf-8"))) == {"category", "message", "details", "request_id"}
            assert all(value.isascii() and value.isprintable() for value in headers.values())
            assert len(body) <= REFUSAL_BYTES
        else:
            for heard in ((SPOKEN,), (SPOKEN, SPOKEN)):
                json.loads(deepgram.answer(asked, deepgram.Request("an id", "", ""), heard).encode("utf-8"))

    with counted(name, nightly=nightly):
        check()


@both_runs
def test_any_form_is_a_request_or_a_typed_error(nightly: bool):
    name = "OpenAI forms"

    @drawn(name, nightly=nightly)
    @given(fields=inputs.FORMS, repeated=st.integers(0, 600))
    def check(fields: list[tuple[str, str]], repeated: int) -> None:
        played[name] += 1
        try:
            asked = openai.parse_form([*fields, *[("keywords[]", "ear")] * repeated])
        except EarloopError as error:
            body = openai.refusal(error)
            said = json.loads(body.encode("utf-8"))["error"]
            assert set(said) == {"message", "type", "param", "code"}
            assert said["param"]
            assert len(body) <= REFUSAL_BYTES
        else:
            assert isinstance(asked, openai.Request)
            assert len(asked.keywords + asked.prompt) <= MAX_HOTWORDS
            for field in openai.ignored(asked, takes_hotwords=False):  # they go into a header
                assert field.isascii()
                assert field.isprintable()
            with suppress(EarloopError):
                openai.check_language(asked, "en")
            answer, kind = openai.answer(SPOKEN, asked)
            answer.encode("utf-8")
            if kind == openai.JSON:
                assert json.loads(answer)["text"] == SPOKEN.text

    with counted(name, nightly=nightly):
        check()
