"""The parts that live results and answers to recordings have in common: words, alternatives, what ran."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.messages import Word

ARCH: Final = "earloop"
_MODELS: Final = uuid.UUID("6d8f8f0e-53a2-5d0c-9d53-1f5a3a1c7e10")  # the space in which models' ids are made


def word_json(word: Word) -> dict[str, Any]:
    """Without `punctuated_word`: nothing is punctuated."""
    times = {"start": seconds(word.start_s), "end": seconds(word.end_s)}
    return {"word": word.text, **times, "confidence": round(word.confidence, 4)}


def alternative(text: str, words: Sequence[Word]) -> dict[str, Any]:
    """A text and its words, as every answer has them."""
    said = [word_json(word) for word in words]
    return {"transcript": text, "confidence": trust(words), "words": said}


def trust(words: Sequence[Word]) -> float:
    """The mean of the words' confidences; 0 where there are none."""
    return round(sum(word.confidence for word in words) / len(words), 4) if words else 0.0


def model_uuid(version: str) -> str:
    """The same for the same model and version, on every server."""
    return str(uuid.uuid5(_MODELS, version))


def model_info(model: str, version: str) -> dict[str, str]:
    """What ran, in a form that clients show."""
    return {"name": model, "version": version.removeprefix(model).strip() or version, "arch": ARCH}


def seconds(value: float) -> float:
    """To the millisecond."""
    return round(value, 3)


def encode(said: dict[str, Any]) -> str:
    """Escaped to ASCII: what a client sent may come back, and holds whatever it holds."""
    return json.dumps(said, separators=(",", ":"))
