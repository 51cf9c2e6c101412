"""Whatever a client sends, a codec answers with commands, replies or a typed error; it never breaks."""

import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import EarloopError
from stt_server.messages import Audio, Finish, Flush, Open, Resume, Transcript
from stt_server.protocols import openai, stt
from stt_server.protocols.codec import MAX_REASON_BYTES, Codec, Reply, close_reason
from stt_server.protocols.native import NativeCodec
from stt_server.protocols.vosk import VoskCodec

CODECS = NativeCodec, VoskCodec
KEYS = st.sampled_from(
    "type open flush finish ping id config eof reset sample_rate words phrase_list hotwords endpointing silence_ms "
    "enabled channels max_alternatives model encoding partials resume token seq resumable".split()
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
JSON_TEXT = ANYTHING.map(json.dumps)
MESSAGES = st.lists(st.binary(max_size=40) | st.text(max_size=40) | JSON_TEXT, max_size=8)


def said_to(codec: Codec, message: str | bytes) -> list[object]:
    """What the codec makes of a message; an error is rendered as the pump would."""
    try:
        did = codec.receive(message)
    except EarloopError as error:
        for rendered in codec.render_error(error):
            assert isinstance(rendered, str)
            rendered.encode("utf-8")
            json.loads(rendered)
        assert len(close_reason(error)) <= MAX_REASON_BYTES
        assert 1000 <= codec.close_code(error) <= 1013
        return [error]
    for item in did:
        if isinstance(item, Reply) and isinstance(item.message, str):
            item.message.encode("utf-8")
    return list(did)


@pytest.mark.parametrize("make", CODECS)
@given(messages=MESSAGES)
def test_any_messages_give_commands_replies_or_typed_errors(make, messages):
    codec = make()
    for message in messages:
        for item in said_to(codec, message):
            assert isinstance(item, Open | Resume | Audio | Flush | Finish | Reply | EarloopError)


@pytest.mark.parametrize("make", CODECS)
@given(messages=MESSAGES)
def test_a_stream_opens_once_and_before_anything_else_is_asked_of_it(make, messages):
    codec = make()
    said = [item for message in messages for item in said_to(codec, message)]
    commands = [item for item in said if isinstance(item, Open | Audio | Flush | Finish)]
    assert [isinstance(command, Open) for command in commands] == [True, *[False] * 99][: len(commands)]


@given(text=st.text(max_size=80) | st.sampled_from(["a=&b", "silence_ms=1e9", "sample_rate=²", "model=", "partials=2"]))
def test_any_query_opens_the_stream_or_is_a_typed_error(text):
    codec = NativeCodec(parse_qsl(text, keep_blank_values=True))
    try:
        opened = codec.connected()
    except EarloopError as error:
        json.loads(codec.render_error(error)[0])
    else:
        assert len(opened) <= 1


@pytest.mark.parametrize("make", CODECS)
@pytest.mark.parametrize("text", ["[" * 100_000, '{"type":"ping","id":' * 20_000, "1" * 10_000, '{"config":' * 50_000])
def test_deep_or_long_json_is_bad_input_and_no_overflow(make, text):
    with pytest.raises(EarloopError) as caught:
        make().receive(text)
    assert caught.value.code == "bad_input"


@pytest.mark.parametrize("depth", range(940, 1000, 3))
def test_a_ping_nested_to_the_edge_of_what_json_reads_is_answered_or_refused(depth):
    said = said_to(NativeCodec(), f'{{"type":"ping","id":{"[" * depth}{"]" * depth}}}')
    assert len(said) == 1


@given(
    container=st.sampled_from(["", "mp3", "aac", "wav"]),
    head=st.binary(min_size=4, max_size=64),
    query=st.dictionaries(st.sampled_from(["format", "sample_rate", "sample_width", "lang"]), st.text(max_size=9)),
    content_type=st.text(max_size=30) | st.sampled_from(["audio/x-raw-int; rate=8000", "audio/x-raw; rate="]),
)
def test_any_stt_request_is_a_file_raw_audio_or_a_typed_error(container, head, query, content_type):
    try:
        spec = stt.raw_spec(container, head, query, content_type)
    except EarloopError as error:
        _, _, headers = stt.refusal(error, as_json=False)
        assert headers["X-Earloop-Error"].isprintable()
    else:
        assert spec is None or spec.sample_rate >= 0


FORM_FIELDS = st.sampled_from(
    "model language languages[] response_format stream keywords[] prompt temperature include[] known_speaker_names[] "
    "timestamp_granularities[] chunking_strategy chunking_strategy[type] chunking_strategy[threshold] x[ x[] []".split()
)
FORM_VALUES = st.text(max_size=9) | st.sampled_from(
    [
        "verbose_json",
        "word",
        "true",
        "logprobs",
        "auto",
        "server_vad",
        "1e999",
        "nan",
        '{"type":"server_vad"}',
        "{}",
        "[]",
    ]
)


@given(fields=st.lists(st.tuples(FORM_FIELDS, FORM_VALUES), max_size=6))
def test_any_form_is_a_request_or_a_typed_error(fields):
    try:
        asked = openai.parse_form(fields)
        openai.check_language(asked, "en")
    except EarloopError as error:
        assert json.loads(openai.refusal(error))["error"]["message"]
        assert error.field
    else:
        body, _ = openai.answer(Transcript("m", "en", 1.0), asked)
        body.encode()
        ", ".join(openai.ignored(asked, takes_hotwords=False)).encode("ascii")
