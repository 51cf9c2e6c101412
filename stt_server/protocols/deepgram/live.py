"""Deepgram's live protocol: `GET /v1/listen` as a WebSocket. README.md has its messages and what becomes of options.

    binary                             audio; an empty message ends the stream, as `CloseStream` does
    {"type":"KeepAlive"}               no reply
    {"type":"Finalize"}                the words so far, now; the stream stays
    {"type":"CloseStream"}             the last words, `Metadata`, close
    {"type":"Configure", …}            one `ConfigureSuccess` or `ConfigureFailure`

Sources: deepgram/deepgram-api-specs (asyncapi.yml), developers.deepgram.com, the client deepgram/deepgram-python-sdk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import BadInput, EarloopError
from stt_server.messages import (
    Audio,
    Command,
    Endpointing,
    Event,
    Finish,
    Finished,
    Flush,
    Heard,
    OfChannel,
    Open,
    Partial,
    Ready,
    SpeechStarted,
)
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Message, Reply, Terms, parse_object
from stt_server.protocols.deepgram.refusals import close_code, close_reason, code
from stt_server.protocols.deepgram.transcript import alternative, encode, model_info, model_uuid, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.messages import Word
    from stt_server.protocols.deepgram.query import Asked

IDLE_S: Final = 10.0
PAUSES: Final = ("silence", "blank", "finish")  # after which nobody speaks: the end of the audio is a pause, too


@dataclass(slots=True)
class Channel:
    """How far one channel is told. Times are seconds of audio; results tile it."""

    told_s: float = 0.0  # to here by final results
    heard_s: float = 0.0
    partial: Partial | None = None  # of the utterance that goes on
    is_news: bool = False  # and has not been told
    word_end_s: float | None = None  # of the last final word, until its `UtteranceEnd` is told


class DeepgramCodec:
    """One connection. `created` is the moment in ISO 8601."""

    name = "deepgram"
    terms = Terms(subprotocols=("token", "bearer"), idle_s=IDLE_S, opens_at_once=True, model_in_query=False)
    close_code = staticmethod(close_code)
    close_reason = staticmethod(close_reason)

    def __init__(self, asked: Asked, request_id: str, created: str) -> None:
        self._asked = asked
        self._request_id = request_id
        self._created = created
        self._channels = [Channel() for _ in range(asked.audio.channels if asked.multichannel else 1)]
        self._hash = hashlib.sha256()
        self._finished = False
        self._ran: dict[str, Any] = {}

    def connected(self) -> list[Command | Reply]:
        asked = self._asked
        return [
            Open(
                self.name,
                asked.audio,
                model=asked.model or None,
                language=asked.language,
                hotwords=asked.hotwords,
                boosts=asked.boosts,
                vocabulary=asked.vocabulary,
                partials=asked.interim_results,
                partial_words=asked.interim_results,
                acknowledge=True,
                endpointing=asked.endpointing or Endpointing(),
                coded=asked.coded,
                apart=asked.multichannel,
                collect=asked.collect,
                device=asked.device,
            )
        ]

    # ---------------------------------------------------------------------------------------------- from the client

    def receive(self, message: Message) -> list[Command | Reply]:
        if self._finished:
            return []  # what was on its way is nobody's
        if isinstance(message, bytes):
            self._hash.update(message)
            return [Audio(message)] if message else self._finish()
        said = parse_object(message)
        match said.get("type"):
            case "KeepAlive":
                return []
            case "Finalize":
                return [Flush(self._channel(said.get("channel")))]
            case "CloseStream":
                return self._finish()
            case "Configure":
                return [Reply(self._configure(said))]
        kind = ascii(said.get("type"))[:40]
        raise BadInput(
            f"A text message of type {kind} is not known; send KeepAlive, Finalize, CloseStream or Configure.",
            field="type",
        )

    def _finish(self) -> list[Command | Reply]:
        self._finished = True
        return [Finish()]

    def _channel(self, given: object) -> int | None:
        if given is None:
            return None
        if type(given) is not int or not 0 <= given < len(self._channels):
            raise BadInput(f"channel must be 0 to {len(self._channels) - 1}, not {ascii(given)[:40]}.", field="channel")
        return given if self._asked.multichannel else None

    def _configure(self, said: dict[str, Any]) -> str:
        """What is so already succeeds; what would have to change mid-stream cannot, and the stream goes on as it is."""
        keyterms, features = said.get("keyterms"), said.get("features")
        answer: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if keyterms is not None and keyterms != list(self._asked.hotwords):
            why = "Keyterms are those of the stream's opening; open another stream for others."
            return self._not_configured("CONFIGURE_KEYTERMS_NOT_SUPPORTED", why)
        if features is not None and (
            not isinstance(features, dict) or any(on is not False for on in features.values())
        ):
            why = "Features are those of the stream's opening; the text comes as it was spoken."
            return self._not_configured("CONFIGURE_FEATURES_NOT_SUPPORTED", why)
        return encode(answer if keyterms is None else {**answer, "keyterms": keyterms})

    def _not_configured(self, name: str, why: str) -> str:
        failure = {"type": "ConfigureFailure", "request_id": self._request_id, "code": name, "description": why}
        return encode(failure)

    # ---------------------------------------------------------------------------------------------- from the session

    def send(self, event: Event) -> list[Message]:
        if isinstance(event, OfChannel):
            # The end of one channel is not that of the stream, whose own `Finished` comes last.
            return [] if isinstance(event.event, Finished) else self._say(event.channel, event.event)
        if isinstance(event, Finished):
            return [self._metadata(event)]
        return self._say(0, event)

    def _say(self, index: int, event: Event) -> list[Message]:
        channel = self._channels[index]
        match event:
            case Ready():
                self._ran = model_info(event.model, event.version or event.model)
                self._ran = {"model_info": self._ran, "model_uuid": model_uuid(event.version or event.model)}
            case SpeechStarted(at_s) if self._asked.vad_events:
                return [encode({"type": "SpeechStarted", "channel": self._index(index), "timestamp": seconds(at_s)})]
            case Partial() if self._asked.interim_results:
                channel.partial, channel.is_news = event, True
            case Heard(audio_s):
                channel.heard_s = audio_s
                return [*self._interim(index), *self._utterance_end(index)]
            case Utterance():
                return [self._final(index, event)]
        return []

    def _interim(self, index: int) -> list[Message]:
        channel = self._channels[index]
        partial = channel.partial
        if partial is None or not channel.is_news:
            return []
        channel.is_news = False
        end_s = max(channel.heard_s, channel.told_s)
        return [self._results(index, end_s, partial.text, partial.words, is_final=False, speech_final=False)]

    def _final(self, index: int, event: Utterance) -> str:
        """The utterance, for good. On request, and in the end, the results reach to what was heard."""
        channel = self._channels[index]
        channel.partial, channel.is_news = None, False
        heard_s = channel.heard_s if event.reason in ("flush", "finish") else 0.0
        end_s = max(channel.told_s, event.end_s, heard_s)
        is_pause = self._asked.endpointing is not None and event.reason in PAUSES
        more = {"from_finalize": event.reason == "flush"}
        said = self._results(index, end_s, event.text, event.words, is_final=True, speech_final=is_pause, **more)
        channel.told_s = end_s
        if event.text:
            channel.word_end_s = event.words[-1].end_s if event.words else event.end_s
        return said

    def _utterance_end(self, index: int) -> list[Message]:
        """Told once, when no word has followed the last final one for so long; whatever the VAD says."""
        channel, gap_s = self._channels[index], self._asked.utterance_end_s
        if gap_s is None or channel.word_end_s is None:
            return []
        last_s = channel.word_end_s
        partial = channel.partial
        next_s = partial.words[0].start_s if partial and partial.words else channel.heard_s
        if next_s - last_s < gap_s:
            return []
        channel.word_end_s = None
        return [encode({"type": "UtteranceEnd", "channel": self._index(index), "last_word_end": seconds(last_s)})]

    def _results(
        self,
        index: int,
        end_s: float,
        text: str,
        words: Sequence[Word],
        *,
        is_final: bool,
        speech_final: bool,
        **more: bool,
    ) -> str:
        start_s = self._channels[index].told_s
        return encode(
            {
                "type": "Results",
                "channel_index": self._index(index),
                "duration": seconds(seconds(end_s) - seconds(start_s)),  # so that the next start is this end
                "start": seconds(start_s),
                "is_final": is_final,
                "speech_final": speech_final,
                "channel": {"alternatives": [alternative(text, words)]},
                "metadata": {"request_id": self._request_id, **self._ran},
                **more,
            }
        )

    def _metadata(self, event: Finished) -> str:
        said: dict[str, Any] = {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request_id,
            "sha256": self._hash.hexdigest(),
            "created": self._created,
            "duration": seconds(event.audio_s),
            "channels": len(self._channels),
        }
        if self._ran:
            said |= {
                "models": [self._ran["model_uuid"]],
                "model_info": {self._ran["model_uuid"]: self._ran["model_info"]},
            }
        return encode(said | echoed(self._asked))

    def render_error(self, error: EarloopError) -> list[Message]:
        said = {"type": "Error", "variant": code(error), "description": error.message, "code": code(error)}
        return [encode({**said, "message": error.message, "request_id": self._request_id})]

    def _index(self, index: int) -> list[int]:
        return [index, len(self._channels)]


def echoed(asked: Asked) -> dict[str, Any]:
    """What of a query comes back in the metadata: tags, extra, and the warnings."""
    said: dict[str, Any] = {"tags": list(asked.tags)} if asked.tags else {}
    if asked.extra:
        said["extra"] = dict(asked.extra)
    if asked.warnings:
        said["warnings"] = [warned.as_json() for warned in asked.warnings]
    return said
