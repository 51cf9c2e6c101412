"""The codec of Realtime transcription sessions without a socket: what is set, what refused, what is told of an item."""

import base64
import json
from typing import Any

import pytest

from stt_server.errors import Busy, Internal
from stt_server.messages import (
    Audio,
    AudioSpec,
    Endpointing,
    Final,
    Flush,
    Open,
    Reason,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from stt_server.protocols.codec import Reply
from stt_server.protocols.openai.realtime import RealtimeCodec

SECOND = base64.b64encode(bytes(48_000)).decode()
WISHES = "session.audio.input.transcription"
TURN_ON = (Word("turn", 0.4, 0.6, 0.9), Word("on", 0.6, 0.9, 1.0))


class Client:
    """Both sides of a codec: what it is told, and what it made of that."""

    def __init__(self, **more: Any) -> None:
        self.codec = RealtimeCodec("0", models=("first",), **more)
        self.commands: list[Any] = []
        (created,) = self._take(self.codec.connected())
        self.created = created

    def says(self, kind: str, **fields: object) -> list[dict[str, Any]]:
        return self._take(self.codec.receive(json.dumps({"type": kind, **fields})))

    def sets(self, **session: object) -> list[dict[str, Any]]:
        return self.says("session.update", session=session)

    def sets_input(self, **sound: object) -> list[dict[str, Any]]:
        return self.sets(type="transcription", audio={"input": sound})

    def hears(self, event: Any) -> list[dict[str, Any]]:
        return [json.loads(message) for message in self.codec.send(event)]

    def opened(self) -> Open:
        """What the stream is opened with when a second of audio comes."""
        assert self.says("input_audio_buffer.append", audio=SECOND) == []
        return next(command for command in self.commands if isinstance(command, Open))

    def _take(self, items: list[Any]) -> list[dict[str, Any]]:
        self.commands += [item for item in items if not isinstance(item, Reply)]
        return [json.loads(item.message) for item in items if isinstance(item, Reply)]


def final(text: str = "turn on", reason: Reason = "silence", words: tuple[Word, ...] = TURN_ON) -> Final:
    return Final(0, text, words if text else (), 0.4, 0.9, reason)


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("conversation.item.input_audio_transcription.") for event in events]


def test_a_session_begins_with_24_khz_and_ends_utterances_at_half_a_second_of_silence():
    client = Client()
    assert client.created["type"] == "session.created"
    assert client.created["session"]["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    opened = client.opened()
    assert opened.audio == AudioSpec("s16le", 24_000, 1)
    assert opened.endpointing == Endpointing(silence_ms=500)


@pytest.mark.parametrize(
    ("ga", "beta", "audio"),
    [
        ({"type": "audio/pcm", "rate": 24_000}, "pcm16", AudioSpec("s16le", 24_000, 1)),
        ({"type": "audio/pcmu"}, "g711_ulaw", AudioSpec("mulaw", 8_000, 1)),
        ({"type": "audio/pcma"}, "g711_alaw", AudioSpec("alaw", 8_000, 1)),
    ],
)
def test_both_generations_name_the_same_formats(ga, beta, audio):
    new, old = Client(), Client()
    (shown,) = new.sets_input(format=ga)
    assert shown["session"]["audio"]["input"]["format"] == ga
    (shown,) = old.says("transcription_session.update", session={"input_audio_format": beta})
    assert shown["type"] == "transcription_session.updated"
    assert shown["session"]["input_audio_format"] == beta
    assert new.opened() == old.opened()
    assert new.opened().audio == audio


def test_names_keywords_and_lists_in_the_prompt_bias_what_is_heard():
    client = Client()
    wishes = {"model": "first", "language": "en", "prompt": "Earloop, living room", "keywords": ["Kathmandu"]}
    (shown,) = client.sets_input(transcription=wishes)
    assert shown["session"]["audio"]["input"]["transcription"] == wishes
    opened = client.opened()
    assert (opened.model, opened.language) == ("first", "en")
    assert (opened.hotwords, opened.hints) == (("Kathmandu",), ("Earloop", "living room"))


def test_a_model_that_is_not_ours_means_the_default():
    client = Client(model="gpt-4o-transcribe")
    assert client.created["session"]["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"
    assert client.opened().model is None


def test_an_update_leaves_what_it_does_not_name():
    client = Client()
    client.sets_input(
        transcription={"language": "en"}, turn_detection={"type": "server_vad", "silence_duration_ms": 900}
    )
    (shown,) = client.sets_input(transcription={"prompt": "lamp"}, turn_detection={"threshold": 0.9})
    sound = shown["session"]["audio"]["input"]
    assert sound["transcription"]["language"] == "en"
    assert sound["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.9,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 900,
    }
    assert client.opened().endpointing == Endpointing(silence_ms=900)


@pytest.mark.parametrize(
    ("session", "param"),
    [
        (None, "session"),
        ({"type": "realtime"}, "session.type"),
        ({"voice": "alloy"}, "session.voice"),
        ({"audio": {"output": {}}}, "session.audio.output"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "session.audio.input.format"),
        ({"audio": {"input": {"format": {"rate": 10}}}}, "session.audio.input.format.rate"),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, "session.audio.input.turn_detection.type"),
        (
            {"audio": {"input": {"turn_detection": {"silence_duration_ms": "long"}}}},
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 9}}}},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"audio": {"input": {"transcription": {"keywords": "x"}}}}, f"{WISHES}.keywords"),
        ({"audio": {"input": {"transcription": {"keywords": ["x"] * 901}}}}, f"{WISHES}.keywords"),
        ({"audio": {"input": {"transcription": {"languages": ["en", "de"]}}}}, f"{WISHES}.languages"),
        ({"input_audio_format": "mp3"}, "session.input_audio_format"),
        ({"include": ["everything"]}, "session.include"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_and_changes_nothing(session, param):
    client = Client()
    (event,) = client.says("session.update", event_id="mine", session=session)
    assert event["type"] == "error"
    error = event["error"]
    assert (error["type"], error["code"], error["event_id"]) == ("invalid_request_error", "invalid_value", "mine")
    assert error["param"] == param
    (unchanged,) = client.sets()
    assert unchanged["session"] == client.created["session"]


@pytest.mark.parametrize(
    "message",
    [b"\0\0", "no json", "[]", "{}", '{"type": 5}', '{"type": "response.create"}', '{"type": "x"}',
     '{"type": "input_audio_buffer.append"}', '{"type": "input_audio_buffer.append", "audio": "\\u00e4"}',
     '{"type": "input_audio_buffer.append", "audio": "a"}'],
)  # fmt: skip
def test_a_message_that_is_none_is_answered_by_an_error_and_the_session_goes_on(message):
    client = Client()
    (answer,) = client.codec.receive(message)
    assert isinstance(answer, Reply)
    assert json.loads(answer.message)["type"] == "error"
    assert client.opened().audio.sample_rate == 24_000


def test_how_audio_is_heard_cannot_change_once_there_is_some_but_the_rest_can():
    client = Client()
    client.opened()
    assert kinds(client.sets_input(turn_detection=None)) == ["error"]
    assert kinds(client.sets_input(format={"type": "audio/pcm", "rate": 24_000})) == ["session.updated"]
    assert kinds(client.sets(include=["item.input_audio_transcription.logprobs"])) == ["session.updated"]
    told = client.hears(final())
    assert [token["token"] for token in told[-1]["logprobs"]] == ["turn", " on"]


def test_a_long_append_reaches_the_session_in_pieces_that_spell_it():
    client = Client()
    audio = bytes(range(256)) * 500
    client.says("input_audio_buffer.append", audio=base64.b64encode(audio).decode())
    pieces = [command.data for command in client.commands if isinstance(command, Audio)]
    assert [len(piece) for piece in pieces] == [48_000, 48_000, 32_000]
    assert b"".join(pieces) == audio


def test_an_utterance_becomes_an_item_whose_events_name_it():
    client = Client()
    client.opened()
    told = [
        *client.hears(SpeechStarted(0.4)),
        *client.hears(SpeechStopped(0.9)),
        *client.hears(final()),
        *client.hears(SpeechStarted(1.4)),
        *client.hears(SpeechStopped(1.9)),
        *client.hears(final("light")),
    ]
    once = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert kinds(told) == [*once, "conversation.item.added", "delta", "completed"] * 2
    first, second = told[:6], told[6:]
    assert {event.get("item_id", "item_0_1") for event in first} == {"item_0_1"}
    assert (first[0]["audio_start_ms"], first[1]["audio_end_ms"]) == (400, 900)
    assert (first[2]["previous_item_id"], second[2]["previous_item_id"]) == (None, "item_0_1")
    assert first[5]["transcript"] == first[4]["delta"] == "turn on"
    assert first[5]["usage"] == {"type": "duration", "seconds": 0.5}
    ids = [event["event_id"] for event in [client.created, *told]]
    assert len(set(ids)) == len(ids)


def test_sound_without_words_completes_its_item_with_an_empty_transcript():
    client = Client()
    client.opened()
    client.hears(SpeechStarted(0.4))
    assert kinds(client.hears(final("", "noise"))) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "completed",
    ]
    assert client.hears(final("", "noise")) == []


def test_without_turn_detection_only_a_commit_makes_an_item():
    client = Client()
    client.sets_input(turn_detection=None)
    assert client.opened().endpointing == Endpointing(enabled=False)
    assert client.hears(SpeechStarted(0.1)) == client.hears(SpeechStopped(0.2)) == []
    assert client.says("input_audio_buffer.commit") == []
    assert client.commands[-1] == Flush()
    told = client.hears(final(reason="flush"))
    assert kinds(told) == ["input_audio_buffer.committed", "conversation.item.added", "delta", "completed"]
    assert told[-1]["usage"]["seconds"] == 1.0


def test_a_commit_of_less_than_100_ms_is_refused():
    client = Client()
    for _ in range(2):
        (event,) = client.says("input_audio_buffer.commit", event_id="mine")
        assert event["error"]["code"] == "input_audio_buffer_commit_empty"
        assert event["error"]["event_id"] == "mine"
        client.says("input_audio_buffer.append", audio=base64.b64encode(bytes(4_000)).decode())
    assert not any(isinstance(command, Flush) for command in client.commands)
    assert client.says("input_audio_buffer.append", audio=SECOND) == client.says("input_audio_buffer.commit") == []
    assert kinds(client.says("input_audio_buffer.commit")) == ["error"]


def test_what_was_cleared_makes_no_item():
    client = Client()
    assert kinds(client.says("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]
    client.opened()
    client.hears(SpeechStarted(0.4))
    assert client.says("input_audio_buffer.clear") == []
    assert kinds(client.hears(final(reason="flush"))) == ["input_audio_buffer.cleared"]
    client.says("input_audio_buffer.append", audio=SECOND)
    client.says("input_audio_buffer.commit")
    assert kinds(client.hears(final("light", "flush")))[-1] == "completed"


def test_an_utterance_that_ends_by_itself_before_a_commit_is_heard_is_an_item_of_its_own():
    client = Client()
    client.opened()
    client.hears(SpeechStarted(0.4))
    client.says("input_audio_buffer.commit")
    told = [*client.hears(final()), *client.hears(final("", "flush"))]
    assert [event["transcript"] for event in told if "transcript" in event] == ["turn on", ""]
    assert len({event["item_id"] for event in told if "item_id" in event}) == 2


@pytest.mark.parametrize("error", [Internal("it broke"), Busy("full")])
def test_a_stream_that_fails_says_so_of_each_item_that_is_waited_for(error):
    client = Client()
    client.opened()
    client.hears(SpeechStarted(0.4))
    client.says("input_audio_buffer.commit")
    client.says("input_audio_buffer.append", audio=SECOND)
    client.says("input_audio_buffer.commit")
    told = [json.loads(message) for message in client.codec.render_error(error)]
    assert kinds(told) == ["failed", "failed", "error"]
    assert len({event.get("item_id") for event in told}) == 3
    assert told[0]["error"]["message"] == error.message


def test_the_older_generation_is_told_of_items_by_its_own_name():
    client = Client(beta=True)
    assert client.created["type"] == "transcription_session.created"
    client.opened()
    assert "conversation.item.created" in kinds(client.hears(final()))
