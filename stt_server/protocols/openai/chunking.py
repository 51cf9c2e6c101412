"""`chunking_strategy`: when a pause ends an utterance.

It comes as `auto`, as the text of a JSON object, or, from the official client, as `chunking_strategy[type]` and so on:

| key | here |
| --- | --- |
| `type` | must be `server_vad` |
| `silence_duration_ms` | the silence that ends an utterance |
| `prefix_padding_ms` | passed over: what lies before speech is heard in any case |
| `threshold` | passed over: how readily sound is called speech is the server's setting |
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadOption
from stt_server.messages import Endpointing

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD: Final = "chunking_strategy"
KEYS: Final = ("type", "silence_duration_ms", "prefix_padding_ms", "threshold")
SILENCE_MS: Final = (100, 10_000)
PADDING_MS: Final = (0, 10_000)


def parse_chunking(text: str, nested: Mapping[str, str]) -> tuple[Endpointing, tuple[str, ...]]:
    """When utterances end, and the keys that change nothing here. Raises BadOption naming the field."""
    given = _object(text) if text and text != "auto" else dict(nested)
    if not given:
        return Endpointing(), ()
    for key in given:
        if key not in KEYS:
            raise _bad(f"has no {key[:40]!r}; it has {', '.join(KEYS)}")
    if given.get("type") != "server_vad":
        raise _bad('must be "auto" or an object with type server_vad')
    silence_ms = _number(given, "silence_duration_ms", *SILENCE_MS)
    _number(given, "prefix_padding_ms", *PADDING_MS)
    _number(given, "threshold", 0, 1)
    passed_over = tuple(key for key in KEYS[2:] if given.get(key) not in (None, ""))
    return Endpointing(silence_ms=None if silence_ms is None else int(silence_ms)), passed_over


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not value:
        raise _bad('must be "auto" or an object with type server_vad')
    return value


def _number(given: Mapping[str, Any], key: str, low: int, high: int) -> float | None:
    said = given.get(key)
    if said is None or said == "":
        return None
    try:
        value = float("nan") if isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if not low <= value <= high:
        raise _bad(f"[{key}] must be a number from {low} to {high}, not {str(said)[:40]!r}")
    return value


def _bad(what: str) -> BadOption:
    return BadOption(f"{FIELD}{'' if what.startswith('[') else ' '}{what}.", field=FIELD)
