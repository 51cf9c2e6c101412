"""What `describe` is answered with: one program, its models and the languages that they hear.

Home Assistant looks at the first program alone, offers the languages of its models, and takes its name for a title.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.protocols.wyoming.frames import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME: Final = "Earloop"
ABOUT: Final = "Speech to text while it is being spoken"
_OTHER_KINDS: Final = ("tts", "handle", "intent", "wake", "mic", "snd")
_MADE_BY: Final = {"name": NAME, "url": ""}


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that clients may be heard by. `language` is a tag, `de`; `version` may be empty."""

    name: str
    language: str
    version: str = ""


def info(models: Iterable[Offered], version: str, *, endpointing: bool) -> Frame:
    """The event. `endpointing`: whether clients may leave the end of a command to us."""
    program = {
        **_artifact(NAME, ABOUT, version),
        "models": [_model(each) for each in models],
        "supports_transcript_streaming": True,
        "requires_external_vad": not endpointing,
    }
    return Frame("info", {"asr": [program], **{kind: [] for kind in _OTHER_KINDS}})


def _model(model: Offered) -> dict[str, Any]:
    about = f"{model.name} {model.version}".strip()
    return {**_artifact(model.name, about, model.version), "languages": [model.language]}


def _artifact(name: str, description: str, version: str) -> dict[str, Any]:
    return {
        "name": name,
        "attribution": _MADE_BY,
        "installed": True,
        "description": description,
        "version": version or None,
    }
