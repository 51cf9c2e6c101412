"""The codecs of the small protocols and of OpenAI's Realtime against clients that say anything in any order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

from stt_server.messages import Finished
from stt_server.protocols.deepspeech import DeepspeechCodec
from stt_server.protocols.kaldi import KaldiCodec
from stt_server.protocols.openai.realtime import RealtimeCodec
from stt_server.protocols.sherpa import SherpaCodec
from tests.fuzz import inputs
from tests.fuzz.budget import both_runs, counted, drawn
from tests.fuzz.talk import Talk
from tests.fuzz.test_codecs import HEARS, STEPS, Conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.messages import Event
    from stt_server.protocols.codec import Codec, Message

COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
COMMITTED = "input_audio_buffer.committed"


class FreeTalk(Talk):
    """Says as many messages for an event as it likes. `plain` are messages that are no JSON."""

    def __init__(self, codec: Codec, sounds: Sequence[Event], *, plain: bool = False) -> None:
        super().__init__(codec, sounds)
        self.plain = plain
        self.connects(0)

    def due(self, event: Event) -> int:
        raise NotImplementedError

    def _send(self, event: Event) -> None:
        assert not self._over
        self._over = isinstance(event, Finished)
        self._check_wire(self.codec.send(event))
        self._check_held()

    def _check_wire(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message, str)
            message.encode("utf-8")
            if not (self.plain or message == "Done!"):
                self.check(json.loads(message))

    def check(self, message: dict[str, Any]) -> None:
        """Of sherpa's."""
        assert len(message["tokens"]) == len(message["timestamps"])
        assert all(at_s >= 0 for at_s in message["timestamps"])


class KaldiTalk(FreeTalk):
    """Segments are counted without a gap, each with one final; behind an error comes nothing."""

    segment = 0
    status = 0

    def check(self, message: dict[str, Any]) -> None:
        self.status = message["status"]
        if "result" in message:
            assert message["segment"] == self.segment
            assert isinstance(message["result"]["hypotheses"][0]["transcript"], str)
            self.segment += message["result"]["final"]
        else:
            assert self.status in range(1, 10)


class RealtimeTalk(FreeTalk):
    """No id is given twice; an item is committed before it is told of, and its deltas spell its transcript."""

    def __init__(self, codec: Codec, sounds: Sequence[Event]) -> None:
        self.ids: set[str] = set()
        self.items: dict[str, str] = {}
        super().__init__(codec, sounds)

    def check(self, message: dict[str, Any]) -> None:
        assert message["event_id"] not in self.ids
        self.ids.add(message["event_id"])
        match message["type"]:
            case str() as kind if kind == COMMITTED:
                assert message["item_id"] not in self.items
                self.items[message["item_id"]] = ""
            case str() as kind if kind == DELTA:
                self.items[message["item_id"]] += message["delta"]
            case str() as kind if kind == COMPLETED:
                assert self.items[message["item_id"]] == message["transcript"]
            case "error":
                assert {"type", "code", "message", "param", "event_id"} == set(message["error"])


_AUDIO = st.sampled_from(["", "AAAA", "AAAAAA==", "A" * 20_000, "?", "\u00e4"])
_FORMATS: list[Any] = [{"type": "audio/pcm", "rate": 24_000}, {"type": "audio/pcmu"}, "pcm16"]
_SOUND = st.fixed_dictionaries(
    {},
    optional={
        "format": st.sampled_from(_FORMATS) | inputs.VALUES,
        "transcription": st.fixed_dictionaries(
            {},
            optional={
                "model": inputs.LETTERS,
                "language": inputs.LETTERS,
                "prompt": inputs.LETTERS,
                "keywords": st.lists(inputs.LETTERS, max_size=3) | inputs.VALUES,
            },
        )
        | inputs.VALUES,
        "turn_detection": st.sampled_from([None, {"type": "server_vad", "silence_duration_ms": 300}]) | inputs.VALUES,
        "noise_reduction": inputs.VALUES,
    },
)  # fmt: skip
REALTIME = st.one_of(
    _AUDIO.map(lambda audio: inputs.said("input_audio_buffer.append", {"audio": audio})),
    st.sampled_from(["commit", "clear"]).map(
        lambda name: inputs.said(f"input_audio_buffer.{name}", {"event_id": "mine"})
    ),
    _SOUND.map(lambda sound: inputs.said("session.update", {"session": {"audio": {"input": sound}}})),
    inputs.VALUES.map(lambda session: inputs.said("transcription_session.update", {"session": session})),
)


class RealtimeConversation(Conversation):
    name = "Realtime conversations"

    @initialize(sounds=HEARS, beta=st.booleans())
    def connect(self, sounds, beta) -> None:
        self.talk = RealtimeTalk(RealtimeCodec("0", models=("first",), beta=beta), sounds)

    @rule(message=REALTIME)
    def valid(self, message: str) -> None:
        self.say(message)

    @rule(message=REALTIME.flatmap(inputs.damaged))
    def damaged(self, message: str) -> None:
        self.say(message)


class KaldiConversation(Conversation):
    name = "Kaldi conversations"

    @initialize(
        query=st.sampled_from(["", "content-type=audio/x-raw, rate=8000", "content-type=audio/wav"]), sounds=HEARS
    )
    def connect(self, query, sounds) -> None:
        self.talk = KaldiTalk(KaldiCodec("0", dict(parse_qsl(query))), sounds)

    @rule(message=st.sampled_from(["EOS", b"EOS", '{"adaptation_state": {}}', b"RIFF", b""]))
    def valid(self, message: str | bytes) -> None:
        self.say(message)


class PlainConversation(Conversation):
    name = "deepspeech and sherpa conversations"

    @initialize(sherpa=st.booleans(), sounds=HEARS)
    def connect(self, sherpa, sounds) -> None:
        self.talk = FreeTalk(SherpaCodec(), sounds) if sherpa else FreeTalk(DeepspeechCodec(), sounds, plain=True)

    @rule(message=st.sampled_from(["EOS", "Done", "Done "]))
    def valid(self, message: str) -> None:
        self.say(message)


MACHINES: list[type[Conversation]] = [RealtimeConversation, KaldiConversation, PlainConversation]


@both_runs
@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_any_conversation_keeps_its_protocol(machine: type[Conversation], nightly: bool):
    with counted(machine.name, nightly=nightly):
        run_state_machine_as_test(machine, settings=drawn(machine.name, nightly=nightly, steps=STEPS))
