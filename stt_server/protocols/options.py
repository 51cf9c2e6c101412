"""The options of a native stream, from an `open` message or from a query string: same names, same rules.

Here names and types are judged; which rates, models or durations are possible, the recognizer says. Unknown names are
errors: a mistyped option must not silently be the default.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, get_args

from stt_server.errors import BadOption
from stt_server.messages import AudioSpec, Encoding, Endpointing, Open
from stt_server.protocols import wishes
from stt_server.protocols.wishes import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROTOCOL: Final = "native"
MAX_DEVICE: Final = 100  # letters

_TIMES: Final = ("silence_ms", "min_utterance_ms", "max_utterance_ms")
_ENDPOINTING: Final = ("enabled", *_TIMES)
_OPEN: Final = (
    "encoding",
    "sample_rate",
    "channels",
    "model",
    "language",
    "decoder",
    "hotwords",
    "grammar",
    "lm",
    "beam",
    "vocabulary",
    "partials",
    "endpointing",
    "resumable",
    "collect",
    "device",
)
_IN_QUERY: Final = (*_OPEN, *_TIMES)  # flat, since a query has no objects
_TRUTH: Final = {"true": True, "1": True, "false": False, "0": False}


def from_message(given: Mapping[str, Any]) -> Open:
    """The options of an `open` message without its `type`; a null is the default. Raises BadOption naming the field."""
    _refuse_unknown(given, _OPEN)
    options = {name: value for name, value in given.items() if value is not None}
    audio = AudioSpec(
        _encoding(options.get("encoding", "s16le")),
        _whole("sample_rate", options.get("sample_rate", 16_000)),
        _whole("channels", options.get("channels", 1)),
    )
    hotwords, boosts = wishes.hotwords(options.get("hotwords", []))
    return Open(
        PROTOCOL,
        audio,
        model=_text("model", options.get("model")),
        language=_text("language", options.get("language")),
        decoder=_text("decoder", options.get("decoder")),
        hotwords=hotwords,
        boosts=boosts,
        grammar=wishes.grammar(options.get("grammar")),
        lm=_text("lm", options.get("lm")),
        beam=_whole("beam", options["beam"]) if "beam" in options else None,
        vocabulary=_text("vocabulary", options.get("vocabulary")),
        partials=_truth("partials", options.get("partials", True)),
        endpointing=_endpointing(options.get("endpointing", {})),
        resumable=_truth("resumable", options.get("resumable", False)),
        collect=_truth("collect", options.get("collect", True)),
        device=(_text("device", options.get("device")) or "")[:MAX_DEVICE],
    )


def from_query(pairs: Iterable[tuple[str, str]]) -> Open:
    """The options of a query string; `hotwords` and lines of `grammar` repeat. Raises BadOption naming the field."""
    pairs = list(pairs)
    _refuse_unknown([name for name, _ in pairs], _IN_QUERY)
    options: dict[str, Any] = {}
    endpointing: dict[str, Any] = {}
    for name, text in pairs:
        if name in {"hotwords", "grammar"}:
            options.setdefault(name, []).append(text)
        elif name in options or name in endpointing:
            raise BadOption(f"{name} is in the query more than once; say it once.", field=name)
        elif name in _TIMES:
            endpointing[name] = _number(name, text)
        else:
            options[name] = _typed(name, text)
    if "endpointing" in options:
        endpointing["enabled"] = options["endpointing"]
    return from_message({**options, "endpointing": endpointing})


def _typed(name: str, text: str) -> object:
    """The value that a query's text stands for."""
    if name in {"sample_rate", "channels", "beam"}:
        return _number(name, text)
    if name in {"partials", "endpointing", "resumable", "collect"}:
        if text.casefold() not in _TRUTH:
            raise BadOption(f"{name} must be true or false, not {text[:40]!r}.", field=name)
        return _TRUTH[text.casefold()]
    return text or None


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadOption(f"{name} must be a whole number, not {text[:40]!r}.", field=name)
    return int(text)


def _endpointing(value: object) -> Endpointing:
    if not isinstance(value, dict):
        example = '{"enabled": true, "silence_ms": 600}'
        raise BadOption(f"endpointing must be an object such as {example}, not {shown(value)}.", field="endpointing")
    _refuse_unknown(value, _ENDPOINTING, "endpointing.")
    given = {name: item for name, item in value.items() if item is not None}
    times = {name: _whole(name, given[name]) for name in _TIMES if name in given}
    return Endpointing(enabled=_truth("enabled", given.get("enabled", True)), **times)


def _encoding(value: object) -> Encoding:
    for encoding in get_args(Encoding):
        if value == encoding:
            return encoding  # type: ignore[no-any-return]
    allowed = ", ".join(get_args(Encoding))
    raise BadOption(f"encoding must be one of {allowed}, not {shown(value)}.", field="encoding")


def _whole(name: str, value: object) -> int:
    if type(value) is not int:  # a bool is an int too, but not here
        raise BadOption(f"{name} must be a whole number, not {shown(value)}.", field=name)
    return value


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadOption(f"{name} must be true or false, not {shown(value)}.", field=name)
    return value


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise BadOption(f"{name} must be text, not {shown(value)}.", field=name)
    return value or None


def _refuse_unknown(names: Iterable[str], known: tuple[str, ...], prefix: str = "") -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(known)}."
            raise BadOption(f"There is no option {prefix}{shown(name)[1:-1]}: {hint}", field=f"{prefix}{name[:60]}")
