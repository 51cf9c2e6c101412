"""Recorded conversations: what a client sends and a session says, and the bytes each must give on the wire.

{"about": "…", "codec": "vosk", "query": "sample_rate=8000", "steps": [
    {"client": "{\"eof\" : 1}", "session": ["Open(…)", "Finish()"], "wire": []},       text; `audio` (hex) for binary
    {"event": ["Final", {…}], "wire": ["{\"text\": \"\"}"]},
    {"client": "…", "error": "bad_input", "wire": ["…"], "close": 1008}]}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from stt_server import messages
from stt_server.errors import EarloopError
from stt_server.messages import Alternative, AudioSpec, Event, Open, Word
from stt_server.protocols.codec import Codec, Reply
from stt_server.protocols.deepgram import DeepgramCodec, parse_query
from stt_server.protocols.deepspeech import DeepspeechCodec
from stt_server.protocols.kaldi import KaldiCodec
from stt_server.protocols.native import NativeCodec
from stt_server.protocols.openai.realtime import RealtimeCodec
from stt_server.protocols.sherpa import SherpaCodec
from stt_server.protocols.vosk import VoskCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

FOLDER = Path(__file__).parent / "conversations"


@dataclass(frozen=True)
class Conversation:
    name: str
    codec: str
    query: str
    steps: list[dict[str, Any]]

    def new_codec(self) -> Codec:
        """The codec of that name; `query` is what its URL had."""
        query = parse_qsl(self.query, keep_blank_values=True)
        made: dict[str, Callable[[], Codec]] = {
            "deepgram": lambda: DeepgramCodec(parse_query(query, live=True), "0", "2026-11-21T00:00:00.000Z"),
            "deepspeech": DeepspeechCodec,
            "kaldi": lambda: KaldiCodec("0", dict(query)),
            "native": lambda: NativeCodec(query),
            "openai-realtime": lambda: RealtimeCodec("0", model=dict(query).get("model"), models=("first",)),
            "sherpa": SherpaCodec,
            "vosk": VoskCodec,
        }
        return made[self.codec]()


def conversations() -> list[Conversation]:
    return [_load(path) for path in sorted(FOLDER.glob("*.json"))]


def _load(path: Path) -> Conversation:
    said = json.loads(path.read_text(encoding="utf-8"))
    return Conversation(path.stem, said["codec"], said.get("query", ""), said["steps"])


def played(codec: Codec, step: dict[str, Any]) -> dict[str, Any]:
    """The step as the codec plays it, to be equal to the step as it is written down."""
    happened: dict[str, Any] = {name: step[name] for name in ("client", "audio", "event", "connects") if name in step}
    try:
        wire = list(codec.send(event(*step["event"]))) if "event" in step else _received(codec, step, happened)
    except EarloopError as error:
        happened |= {"error": error.code, "close": codec.close_code(error)}
        wire = list(codec.render_error(error))
    return happened | {"wire": wire}


def event(kind: str, fields: dict[str, Any]) -> Event:
    """An event from its name and fields as JSON holds them."""
    if kind == "Ready":
        fields = {**fields, "audio": AudioSpec(**fields["audio"])}
    if kind == "Final":
        fields = {**fields, "words": _words(fields["words"])}
        likely = ((text, _words(words), score) for text, words, score in fields.get("alternatives", ()))
        fields["alternatives"] = tuple(Alternative(*each) for each in likely)
    if kind == "OfChannel":
        fields = {**fields, "event": event(*fields["event"])}
    if kind == "Partial":
        fields = {**fields, "words": _words(fields.get("words", ()))}
    made: Event = getattr(messages, kind)(**fields)
    return made


def _words(written: Iterable[list[Any]]) -> tuple[Word, ...]:
    return tuple(Word(*word) for word in written)


def _received(codec: Codec, step: dict[str, Any], happened: dict[str, Any]) -> list[str | bytes]:
    if "connects" in step:
        did = codec.connected()
    else:
        did = codec.receive(bytes.fromhex(step["audio"]) if "audio" in step else step["client"])
    happened["session"] = [_shown(item) for item in did if not isinstance(item, Reply)]
    return [item.message for item in did if isinstance(item, Reply)]


def _shown(command: object) -> str:
    """A command as the files write it: `Open` with what differs from the defaults, audio in hex."""
    if isinstance(command, messages.Audio):
        return f"Audio {command.data.hex()}".strip()
    if isinstance(command, messages.Resume):
        return f"Resume {command.token} {command.seq}"
    if command == messages.Flush(channel=1):
        return "Flush 1"
    if not isinstance(command, Open):
        return type(command).__name__
    spec = command.audio
    parts = [f"{command.protocol} {spec.encoding} {spec.sample_rate} {spec.channels}"]
    plain = Open(command.protocol, spec)
    names = (
        "model",
        "language",
        "decoder",
        "hotwords",
        "boosts",
        "grammar",
        "lm",
        "beam",
        "alternatives",
        "partials",
        "partial_words",
        "live",
        "acknowledge",
        "resumable",
        "coded",
        "apart",
        "collect",
        "device",
    )
    changed = [name for name in names if getattr(command, name) != getattr(plain, name)]
    parts += [f"{name}={getattr(command, name)!r}" for name in changed]
    if command.endpointing != plain.endpointing:
        parts.append(repr(command.endpointing))
    return f"Open {' '.join(parts)}"
