"""Plain answers that assistants expect beside `/stt`, each in the shape of the server that it was made for.

| path | of | answer |
| --- | --- | --- |
| `/v1/stt` | Mycroft's backend (module `mycroft`) | a JSON array of texts, of which it takes the first |
| `/v1/deepspeech` | the same (module `mycroft_deepspeech`) | a JSON string; an array would break its listener |
| `/stt/json` | ovos-stt-http-server | `{"text", "lang"}` for `{"audio_b64", "lang", "sample_rate", "sample_width"}` |
| `/status` | ovos-stt-http-server | `{"status", "plugin", "lang_plugin", "gradio"}` |
| `/lang_detect` | ovos-stt-http-server | `{"lang", "conf"}`, or an error: its client then takes the one it was set to |

Sources: OpenVoiceOS/ovos-stt-http-server, MycroftAI/mycroft-core (stt/__init__.py, api/__init__.py).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadOption, Unsupported
from stt_server.messages import AudioSpec
from stt_server.protocols.codec import parse_object
from stt_server.protocols.wishes import shown

if TYPE_CHECKING:
    from stt_server.messages import Transcript

PLUGIN: Final = "earloop"


@dataclass(frozen=True, slots=True)
class Carried:
    """Audio that came inside JSON: a file, or raw audio as `spec` says."""

    audio: bytes
    spec: AudioSpec


def texts(transcript: Transcript) -> str:
    """What Mycroft's backend answers: the one text we have, empty for silence."""
    return json.dumps([transcript.text], ensure_ascii=False)


def text(transcript: Transcript) -> str:
    """The same for its deepspeech module."""
    return json.dumps(transcript.text, ensure_ascii=False)


def text_and_language(transcript: Transcript) -> str:
    """What `/stt/json` answers."""
    return json.dumps({"text": transcript.text, "lang": transcript.language}, ensure_ascii=False)


def status(model: str) -> str:
    """What `/status` answers; `model` is ours."""
    said = {"status": "ok", "plugin": PLUGIN, "lang_plugin": None, "gradio": False, "model": model}
    return json.dumps(said)


def language_among(valid: str) -> str:
    """The answer of `/lang_detect` where it is known without listening: `valid`, languages with commas between, is but
    one. Raises Unsupported otherwise: which language is spoken is not detected here.
    """
    wanted = [each.strip() for each in valid.split(",") if each.strip()]
    if len(wanted) != 1:
        raise Unsupported(
            "Which language is spoken is not detected here; name the one in valid_langs.", field="valid_langs"
        )
    return json.dumps({"lang": wanted[0], "conf": 1.0})


def carried(body: str) -> Carried:
    """Audio in the JSON body of `/stt/json`. Raises BadInput, BadOption."""
    said = parse_object(body)
    coded = said.get("audio_b64")
    if not isinstance(coded, str):
        raise BadOption(f"audio_b64 must be a string of base64, not {shown(coded)}.", field="audio_b64")
    try:
        audio = base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadOption(f"audio_b64 must be base64: {error}.", field="audio_b64") from error
    rate, width = said.get("sample_rate", 16_000), said.get("sample_width", 2)
    if isinstance(rate, bool) or not isinstance(rate, int):
        raise BadOption(f"sample_rate must be a whole number of Hz, not {shown(rate)}.", field="sample_rate")
    if width != 2:
        raise BadOption("sample_width must be 2, bytes of a 16-bit sample.", field="sample_width")
    return Carried(audio, AudioSpec("s16le", rate, 1))
