"""What a stranger may send: messages as they should be, damaged ones, and what is no message at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS: Final = st.sampled_from(
    "type open flush finish ping id resume token seq resumable config eof reset sample_rate words phrase_list hotwords "
    "endpointing silence_ms min_utterance_ms max_utterance_ms enabled channels max_alternatives model language decoder "
    "encoding partials s16le grammar lines literal repeats beam lm phrase boost".split()
)
# Beyond what floats, integers of 64 bits, headers, UTF-8 or a C string hold.
_EXTREME: Final = (
    10**400,
    -(10**30),
    2**63,
    1e308,
    float("nan"),
    float("-inf"),
    -0.0,
    "\ud800",
    "\x00",
    "a" * 3000,
    "²",
    "\u202e",
)
EXTREMES: Final = st.integers(0, len(_EXTREME) - 1).map(lambda which: _EXTREME[which])  # which has a short name
LETTERS: Final = st.text(st.characters(), max_size=12)  # lone surrogates too
SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats() | LETTERS | KEYS | EXTREMES
VALUES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | LETTERS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS: Final = st.dictionaries(KEYS, SCALARS | VALUES, max_size=4)


# How deep JSON may begin, go on and end. Built where it is used: hypothesis should not print fifty thousand brackets.
DEEP: Final = {
    "array": ("", "[", "]", ""),
    "ping": ('{"type":"ping","id":', "[", "]", "}"),
    "ping of objects": ('{"type":"ping","id":', '{"a":', "}", "}"),
    "config": ('{"config":', '{"config":', "}", "}"),
    "unfinished": ('{"type":"open","endpointing":', "[", "", ""),
}
# `json` reads up to about a thousand levels.
DEPTHS: Final = st.integers(1, 30) | st.integers(900, 1050) | st.just(50_000)


def deep(shape: str, depth: int) -> str:
    begin, opening, closing, end = DEEP[shape]
    return begin + opening * depth + "1" + closing * depth + end


NO_MESSAGE: Final = (
    LETTERS | OBJECTS.map(json.dumps) | VALUES.map(json.dumps) | st.integers(1, 5000).map(lambda digits: "1" * digits)
)
AUDIO: Final = st.binary(max_size=24) | st.sampled_from([b"", b"\x00", bytes(640)])
LONG_AUDIO: Final = st.integers(1, 1 << 20)


@st.composite
def damaged(draw: st.DrawFn, message: str) -> str:
    """A text message after an accident: cut, doubled, a letter changed, a piece moved."""
    at, end = sorted((draw(st.integers(0, len(message))), draw(st.integers(0, len(message)))))
    how = draw(st.integers(0, 4))
    if how == 0:
        return message[:at]
    if how == 1:
        return message[:end] + message[at:]
    if how == 2:
        return message[:at] + message[end:]
    if how == 3:
        return (
            message[:at] + draw(st.sampled_from(['"', "{", "}", "\\", "null", "1e999", "NaN", "\x00"])) + message[end:]
        )
    return message[at:end] + message[:at] + message[end:]


def options(*, extreme: bool) -> st.SearchStrategy[dict[str, object]]:
    """Options of a native stream that can be, or that hold anything at all."""
    possible: dict[str, st.SearchStrategy[object]] = {
        "encoding": st.sampled_from(["s16le", "f32le", "mulaw", "alaw"]),
        "sample_rate": st.sampled_from([8000, 16000, 48000]),
        "channels": st.integers(1, 8),
        "model": st.none() | st.just("first"),
        "language": st.none() | st.just("en-US"),
        "hotwords": st.lists(st.sampled_from(["ear", "loop", {"phrase": "ear", "boost": 2}]), max_size=3),
        "grammar": st.none()
        | st.text("ab[]()|{}=# \n", max_size=20)
        | st.fixed_dictionaries({"lines": st.just(["a"])}),
        "beam": st.integers(1, 500),
        "partials": st.booleans(),
        "resumable": st.booleans(),
        "endpointing": st.fixed_dictionaries(
            {}, optional={"enabled": st.booleans(), "silence_ms": st.integers(0, 900)}
        ),
    }
    if extreme:
        possible = dict.fromkeys(possible, VALUES)
    return st.fixed_dictionaries({}, optional=possible)


def said(kind: str, fields: Mapping[str, object] | None = None) -> str:
    return json.dumps({"type": kind, **(fields or {})})


NATIVE: Final = st.one_of(
    options(extreme=False).map(lambda fields: said("open", fields)),
    options(extreme=True).map(lambda fields: said("open", fields)),
    st.sampled_from([said("flush"), said("flush"), said("finish"), '{"type" : "ping"}']),
    VALUES.map(lambda ident: said("ping", {"id": ident})),
    st.fixed_dictionaries({"token": LETTERS | SCALARS, "seq": st.integers(-1, 9) | SCALARS}).map(
        lambda fields: said("resume", fields)
    ),
)
CONFIG: Final = st.fixed_dictionaries(
    {},
    optional={
        "sample_rate": st.sampled_from([8000, 16000.0, "16000", "16000.000000"]) | SCALARS,
        "words": st.booleans() | SCALARS,
        "max_alternatives": st.integers(0, 3) | SCALARS,
        "partial_words": st.booleans() | SCALARS,
        "phrase_list": st.lists(st.sampled_from(["turn on", "[unk]"]), max_size=3) | VALUES,
        "model": LETTERS,
    },
)
DEEPGRAM: Final = st.one_of(
    st.sampled_from(["KeepAlive", "Finalize", "Finalize", "CloseStream"]).map(said),
    st.fixed_dictionaries({"channel": st.integers(-1, 2) | SCALARS}).map(lambda fields: said("Finalize", fields)),
    st.fixed_dictionaries(
        {},
        optional={
            "keyterms": st.lists(LETTERS, max_size=3) | VALUES,
            "features": VALUES | st.just({"numerals": False}),
        },
    ).map(lambda fields: said("Configure", fields)),
)
DEEPGRAM_NAMES: Final = st.sampled_from(
    "encoding sample_rate channels multichannel interim_results endpointing utterance_end_ms vad_events keyterm tag "
    "keywords extra mip_opt_out model language numerals diarize redact utterances utt_split paragraphs callback".split()
)
VOSK: Final = st.one_of(
    CONFIG.map(lambda config: json.dumps({"config": config})),
    st.sampled_from(['{"eof" : 1}', '{"reset" : 1}', '{"reset":1}', '{"eof": 0}', '{"reset": "no"}']),
)

_VALUE: Final = (
    st.sampled_from(["", "true", "0", "8000", "16000", "-1", "1e9", "16K_PCM16", "s16le", "en", "json", "a" * 300])
    | LETTERS
    | st.integers(-3, 10**12).map(str)
    | st.integers(1, 20_000).map(lambda letters: "x" * letters)
)
_NAME: Final = KEYS | st.sampled_from(["format", "sample_width", "rate", "lang"]) | LETTERS
_DEEPGRAMS: Final = st.sampled_from(["linear16", "opus", "10", "300", "a:b", "kitchen:2", "kitchen:-1", "0.5", "nan"])
DEEPGRAM_QUERIES: Final = st.lists(st.tuples(DEEPGRAM_NAMES | LETTERS, _DEEPGRAMS | _VALUE), max_size=6)
QUERIES: Final = st.lists(st.tuples(_NAME, _VALUE), max_size=5)
FORMS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            "model response_format stream keywords keywords[] language prompt temperature include[] "
            "timestamp_granularities[] timestamp_granularities chunking_strategy chunking_strategy[type] languages[] "
            "known_speaker_names[] x[ x[] [] "
            "chunking_strategy[silence_duration_ms] chunking_strategy[threshold]".split()
        )
        | LETTERS,
        st.sampled_from(
            ["json", "text", "srt", "vtt", "verbose_json", "true", "word", "segment", "nan", "auto", "server_vad"]
        )
        | _VALUE
        | OBJECTS.map(lambda keys: json.dumps({"type": "server_vad", "threshold": list(keys.values())}))
        | st.integers(900, 1000).map(
            lambda levels: f'{{"type":"server_vad","threshold":{"[" * levels}{"]" * levels}}}'
        ),
    ),
    max_size=6,
)
STT_QUERIES: Final = st.dictionaries(
    st.sampled_from(["format", "sample_rate", "sample_width", "lang", "key", "rate"]),
    st.sampled_from(["16K_PCM16", "8k_pcm16", "999K_PCM16", "wav", "2", "16000", "999999"]) | _VALUE,
)
CONTENT_TYPES: Final = LETTERS | st.sampled_from(
    [
        "audio/wav",
        "audio/x-raw-int; rate=8000",
        "audio/x-raw; rate=",
        "AUDIO/X-RAW;RATE=99999999",
        "audio/x-raw;;=;rate",
    ]
)
HEADS: Final = st.builds(
    bytes.__add__,
    st.sampled_from([b"", b"RIFF", b"ID3", b"OggS", b"fLaC", b"\xff\xfb\x90\x00", b"\xff\xf1", b"\xff\xe2", b"\xff"]),
    st.binary(max_size=60),
)
