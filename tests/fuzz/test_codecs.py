"""Stream codecs against clients that say anything in any order; `talk.py` has what must hold at every step."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from stt_server.errors import Busy, Internal, TimedOut, TooLarge, Unavailable
from tests.fuzz import inputs
from tests.fuzz.budget import both_runs, counted, drawn, play, played
from tests.fuzz.bulk import converse
from tests.fuzz.talk import SOUNDS, DeepgramTalk, NativeTalk, Talk, VoskTalk

STEPS = 14
FAULTS = [kind("why") for kind in (Busy, Internal, TimedOut, TooLarge, Unavailable)]
HEARS = st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=5)


class Conversation(RuleBasedStateMachine):
    """A client and a session take turns as they like; nobody waits for anybody."""

    name: ClassVar[str]
    talk: Talk

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str | bytes] = []

    def say(self, message: str | bytes) -> None:
        self.sent.append(message)
        self.talk.says(message)

    @rule(data=inputs.AUDIO)
    def audio(self, data: bytes) -> None:
        self.say(data)

    @rule(length=inputs.LONG_AUDIO)
    def long_audio(self, length: int) -> None:
        self.say(bytes(length))

    @rule(shape=st.sampled_from(sorted(inputs.DEEP)), depth=inputs.DEPTHS)
    def deep(self, shape: str, depth: int) -> None:
        self.say(inputs.deep(shape, depth))

    @rule(message=inputs.NO_MESSAGE)
    def anything(self, message: str) -> None:
        self.say(message)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, STEPS))
    def again(self, which: int) -> None:
        self.say(self.sent[which % len(self.sent)])

    @precondition(lambda self: self.talk.to_tell)
    @rule(events=st.integers(1, 4))
    def session_tells(self, events: int) -> None:
        self.talk.tells(events)

    @precondition(lambda self: len(self.sent) > STEPS // 2)
    @rule(error=st.sampled_from(FAULTS))
    def session_fails(self, error: Busy) -> None:
        self.talk.fails(error)

    def teardown(self) -> None:
        if hasattr(self, "talk"):
            self.talk.ends()
            played[self.name] += 1


class NativeConversation(Conversation):
    name = "native conversations"
    talk: NativeTalk

    @initialize(
        query=st.sampled_from(["", "", "resumable=true", "sample_rate=8000&hotwords=a&hotwords=b", "x=1"]), sounds=HEARS
    )
    def connect(self, query, sounds) -> None:
        self.talk = NativeTalk(parse_qsl(query), sounds)

    @rule(message=inputs.NATIVE)
    def valid(self, message: str) -> None:
        self.say(message)

    @rule(message=inputs.NATIVE.flatmap(inputs.damaged))
    def damaged(self, message: str) -> None:
        self.say(message)

    @rule(seq=st.integers(-1, STEPS))
    def another_connection_resumes(self, seq: int) -> None:
        self.talk.resumes(seq)


class DeepgramConversation(Conversation):
    name = "Deepgram conversations"

    @initialize(query=st.sampled_from(["", "keyterm=a", "encoding=mulaw&sample_rate=8000"]), sounds=HEARS)
    def connect(self, query, sounds) -> None:
        self.talk = DeepgramTalk(parse_qsl(query), sounds)

    @rule(message=inputs.DEEPGRAM)
    def valid(self, message: str) -> None:
        self.say(message)

    @rule(message=inputs.DEEPGRAM.flatmap(inputs.damaged))
    def damaged(self, message: str) -> None:
        self.say(message)


class VoskConversation(Conversation):
    name = "vosk conversations"

    @initialize(sounds=HEARS)
    def connect(self, sounds) -> None:
        self.talk = VoskTalk(sounds)

    @rule(message=inputs.VOSK)
    def valid(self, message: str) -> None:
        self.say(message)

    @rule(message=inputs.VOSK.flatmap(inputs.damaged))
    def damaged(self, message: str) -> None:
        self.say(message)


@both_runs
@pytest.mark.parametrize(
    "machine", [NativeConversation, DeepgramConversation, VoskConversation], ids=lambda machine: machine.name
)
def test_any_conversation_keeps_the_protocol(machine: type[Conversation], nightly: bool):
    with counted(machine.name, nightly=nightly):
        run_state_machine_as_test(machine, settings=drawn(machine.name, nightly=nightly, steps=STEPS))


@both_runs
def test_recorded_conversations_survive_accidents(nightly: bool):
    play("damaged conversations in bulk", converse, nightly=nightly)


@both_runs
def test_any_query_opens_the_stream_or_is_a_typed_error(nightly: bool):
    name = "queries of a native stream"

    @drawn(name, nightly=nightly)
    @given(inputs.QUERIES)
    def check(query: list[tuple[str, str]]) -> None:
        talk = NativeTalk(query)
        assert len(talk.commands) <= 1
        played[name] += 1

    with counted(name, nightly=nightly):
        check()
