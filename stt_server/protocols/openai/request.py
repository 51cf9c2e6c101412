"""What a form asks for, the file aside. Every refusal is a BadOption that names the field."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput, BadOption
from stt_server.messages import Endpointing
from stt_server.protocols.openai.chunking import parse_chunking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
STREAMED: Final = ("json", "text")  # of which the events of a stream are the same
MAX_KEYWORDS: Final = 900  # with what a prompt lists, as many hotwords as a stream takes
MAX_KEYWORD_LETTERS: Final = 10_000  # of all together; a stream takes 20,000 letters of hotwords
MAX_PROMPT_PHRASES: Final = 100
MAX_PHRASE_LETTERS: Final = 80
MAX_PHRASE_WORDS: Final = 4  # longer is prose: preferring each of its words would bend what is heard towards it

_NAME: Final = re.compile(r"([A-Za-z_]{1,60})(?:\[([A-Za-z_]{0,60})\])?")
_CUTS: Final = re.compile(r"[,;:.!?\n\r\t]+")
_SPEAKERS: Final = ("known_speaker_names", "known_speaker_references")  # of diarized_json, which is refused
_SWITCH: Final = {"": False, "false": False, "0": False, "true": True, "1": True}


@dataclass(frozen=True, slots=True)
class Request:
    """`prompt` are the phrases found in it; `passed_over` the fields that have no effect whatever decoder runs."""

    model: str | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    response_format: str = "json"
    keywords: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    words: bool = False
    segments: bool = True
    logprobs: bool = False
    stream: bool = False
    endpointing: Endpointing = field(default_factory=Endpointing)
    passed_over: tuple[str, ...] = ()
    collect: bool = True  # ours: whether what is said may be kept, if its speaker agreed
    vocabulary: str | None = None  # ours, too: one that is kept on the server, by name


def parse_form(fields: Iterable[tuple[str, str]]) -> Request:
    """The request in a form's text fields; arrays come as repeated `name[]` or `name`. Raises BadOption."""
    form = _Fields(fields)
    response_format = _format(form)
    granularities = _granularities(form, response_format)
    endpointing, unheard = parse_chunking(form.one("chunking_strategy"), form.nested("chunking_strategy"))
    prompt = form.one("prompt")
    phrases = listed_phrases(prompt)
    without_effect = {
        "temperature": _temperature(form) != 0.0,
        "prompt": bool(prompt) and not phrases,
        **{f"chunking_strategy[{key}]": True for key in unheard},
        **{name: bool(form.all(name)) for name in _SPEAKERS},
    }
    return Request(
        model=form.one("model") or None,
        language=form.one("language") or None,
        languages=form.all("languages"),
        response_format=response_format,
        keywords=_keywords(form),
        prompt=phrases,
        words="word" in granularities,
        segments="segment" in granularities or not granularities,
        logprobs=_logprobs(form, response_format),
        stream=_stream(form, response_format),
        endpointing=endpointing,
        passed_over=tuple(name for name, is_without in without_effect.items() if is_without),
        collect=all(_SWITCH.get(said.casefold(), False) for said in form.all("collect")),
        vocabulary=form.one("vocabulary") or None,
    )


def require_file(*, present: bool) -> None:
    """Raise BadInput for a form without a file."""
    if not present:
        raise BadInput("The form has no file; send the audio in the field `file`.", field="file")


def check_language(asked: Request, spoken: str) -> None:
    """Raise BadOption unless the model's language, a code without region, is the one asked for or among several."""
    for name, codes in (("language", (asked.language,) if asked.language else ()), ("languages", asked.languages)):
        if codes and spoken not in {re.split("[-_]", code.casefold())[0] for code in codes}:
            stated = ", ".join(codes)[:40]
            raise BadOption(f"The model here knows {spoken!r}, not {stated!r}; leave {name} out.", field=name)


def ignored(asked: Request, *, takes_hotwords: bool) -> tuple[str, ...]:
    """The fields that were sent and change nothing: fit for a header, for their names are ours. Not keywords: a decoder
    that takes none refuses them.
    """
    return (*(("prompt",) if asked.prompt and not takes_hotwords else ()), *asked.passed_over)


class _Fields:
    """Values by name, those of arrays with or without the brackets, those of objects by key as well."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self._nested: dict[str, dict[str, str]] = {}
        for name, value in fields:
            if match := _NAME.fullmatch(name):
                self._keep(match[1], match[2], value.strip())

    def _keep(self, name: str, key: str | None, value: str) -> None:
        if key:
            self._nested.setdefault(name, {})[key] = value
        else:
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str:
        """The last value, "" without any."""
        return self._values.get(name, [""])[-1]

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for value in self._values.get(name, ()) if value)

    def nested(self, name: str) -> dict[str, str]:
        return self._nested.get(name, {})


def _format(form: _Fields) -> str:
    wanted = form.one("response_format") or "json"
    if wanted in FORMATS:
        return wanted
    why = "needs speakers told apart, which is not done" if wanted == "diarized_json" else "is not available"
    known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    raise BadOption(f"response_format {wanted[:40]!r} {why} here; use {known}.", field="response_format")


def _granularities(form: _Fields, response_format: str) -> tuple[str, ...]:
    name = "timestamp_granularities"
    wanted = form.all(name)
    for each in wanted:
        if each not in ("word", "segment"):
            raise BadOption(f"{name} must be word, segment or both, not {each[:40]!r}.", field=name)
    if wanted and response_format != "verbose_json":
        raise BadOption(f"{name} needs response_format=verbose_json, not {response_format}.", field=name)
    return wanted


def _logprobs(form: _Fields, response_format: str) -> bool:
    wanted = form.all("include")
    for each in wanted:
        if each != "logprobs":
            raise BadOption(f"include can be logprobs, not {each[:40]!r}.", field="include")
    if wanted and response_format != "json":
        raise BadOption(f"include[]=logprobs needs response_format=json, not {response_format}.", field="include")
    return bool(wanted)


def _stream(form: _Fields, response_format: str) -> bool:
    said = form.one("stream").casefold()
    if said not in _SWITCH:
        raise BadOption(f"stream must be true or false, not {said[:40]!r}.", field="stream")
    if _SWITCH[said] and response_format not in STREAMED:
        why = f"stream=true answers with events; response_format {response_format} cannot be streamed, use json."
        raise BadOption(why, field="response_format")
    return _SWITCH[said]


def _temperature(form: _Fields) -> float:
    said = form.one("temperature") or "0"
    try:
        value = float(said)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:  # NaN is neither
        raise BadOption(f"temperature must be a number from 0 to 1, not {said[:40]!r}.", field="temperature")
    return value


def as_sent(error: BadOption) -> BadOption:
    """The error with the field as this interface calls it."""
    return BadOption(error.message, field="keywords") if error.field == "hotwords" else error


def _keywords(form: _Fields) -> tuple[str, ...]:
    words = form.all("keywords")
    check_keywords(words)
    return words


def check_keywords(words: Sequence[str]) -> None:
    """Raise BadOption for more than a stream takes as hotwords."""
    if len(words) > MAX_KEYWORDS:
        raise BadOption(f"{len(words)} keywords are too many; send at most {MAX_KEYWORDS}.", field="keywords")
    letters = sum(map(len, words))
    if letters > MAX_KEYWORD_LETTERS:
        why = f"The keywords are {letters} letters long; send at most {MAX_KEYWORD_LETTERS}."
        raise BadOption(why, field="keywords")


def listed_phrases(prompt: str) -> tuple[str, ...]:
    """The names and terms of a prompt that lists them; of prose, which continues an earlier text, nothing."""
    pieces = (" ".join(piece.split()) for piece in _CUTS.split(prompt))
    phrases = (each for each in pieces if 0 < len(each.split()) <= MAX_PHRASE_WORDS and len(each) <= MAX_PHRASE_LETTERS)
    return tuple(dict.fromkeys(phrases))[:MAX_PROMPT_PHRASES]
