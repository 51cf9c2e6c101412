"""Conversations of Wyoming, recorded from real clients and written by hand; sockets are in tests/wyoming."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_server.errors import BadOption, Busy, EarloopError, Unsupported
from stt_server.messages import (
    Audio,
    AudioSpec,
    Finish,
    Finished,
    Heard,
    Open,
    Ready,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from stt_server.messages import Final as Utterance
from stt_server.protocols.codec import Reply
from stt_server.protocols.wyoming import Frame, Frames, Offered, WyomingCodec, info
from stt_server.protocols.wyoming.requests import MAX_HINT_LETTERS
from stt_server.protocols.wyoming.turn import NOTHING_S, TAIL_S, WAIT_S
from tests.protocols.conversation import event as as_event

RECORDED = sorted((Path(__file__).parent / "wyoming").glob("*.json"))
PCM = {"rate": 16000, "width": 2, "channels": 1}
CHUNK = Frame("audio-chunk", PCM, bytes(640), "1.10.2")
STOP = Frame("audio-stop")
READY = Ready("s", "toy", "en", AudioSpec())


def said(text: str, end_s: float = 2.0, reason="silence") -> Utterance:
    word = (Word(text, 0.1, end_s, 1.0),) if text else ()
    return Utterance(0, text, word, 0.0, end_s + 0.6, reason)


def told(wire: list[bytes]) -> list[tuple[str, dict]]:
    return [(frame.type, dict(frame.data)) for each in wire for frame in Frames().feed(each)]


def transcripts(wire: list[bytes]) -> list[str]:
    return [data["text"] for kind, data in told(wire) if kind == "transcript"]


class Played:
    """A codec, and all it has said; events are of live audio unless `burst`."""

    def __init__(self, codec: WyomingCodec | None = None) -> None:
        self.codec = codec or WyomingCodec()
        self.wire: list[bytes] = []
        self.commands: list[object] = []

    def client(self, *frames: Frame) -> "Played":
        for frame in frames:
            for item in self.codec.receive(frame):
                if isinstance(item, Reply):
                    assert isinstance(item.message, bytes)
                    self.wire.append(item.message)
                else:
                    self.commands.append(item)
        return self

    def session(self, *events, live: bool = True) -> "Played":
        for each in events:
            self.wire += self.codec.send(each, live=live)
        return self

    @property
    def opened(self) -> Open:
        (found,) = [each for each in self.commands if isinstance(each, Open)]
        return found


# ------------------------------------------------------------------------------------------------------------- recorded


def shown(item: object) -> str:
    """A command as the recordings write it."""
    if isinstance(item, Audio):
        return f"Audio {item.data.hex()}".strip()
    if isinstance(item, Open):
        return (
            f"Open {item.audio.encoding} {item.audio.sample_rate} {item.audio.channels} language={item.language} "
            f"model={item.model} silence_ms={item.endpointing.silence_ms} acknowledge={item.acknowledge} "
            f"hints={','.join(item.hints)} collect={item.collect}"
        )
    return type(item).__name__


def replayed(codec: WyomingCodec, frames: Frames, step: dict[str, Any]) -> dict[str, Any]:
    if "event" in step:
        wire = codec.send(as_event(*step["event"]), live=step["live"])
        return {"event": step["event"], "live": step["live"], "wire": [each.decode() for each in wire]}
    received = step["client"].encode() + bytes.fromhex(step.get("payload", ""))
    items = [item for frame in frames.feed(received) for item in codec.receive(frame)]
    wire = [item.message for item in items if isinstance(item, Reply) and isinstance(item.message, bytes)]
    commands = [shown(item) for item in items if not isinstance(item, Reply)]
    same: dict[str, Any] = {name: step[name] for name in ("client", "payload") if name in step}
    return {**same, "session": commands, "wire": [each.decode() for each in wire]}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_conversation_replays_byte_for_byte(path: Path):
    codec, frames = WyomingCodec(), Frames()
    for step in json.loads(path.read_text(encoding="utf-8"))["steps"]:
        assert replayed(codec, frames, step) == step


# ------------------------------------------------------------------------------------------------------------- requests


def test_a_request_without_audio_is_answered_with_an_empty_transcript():
    played = Played().client(Frame("transcribe"), Frame("audio-start", PCM), STOP)
    assert [kind for kind, _ in told(played.wire)] == ["transcript-start", "transcript", "transcript-stop"]
    assert transcripts(played.wire) == [""]
    assert played.commands == []


def test_audio_may_come_without_anything_before_it():
    assert Played().client(CHUNK).opened.audio == AudioSpec("s16le", 16000, 1)


def test_a_chunk_that_states_no_format_has_that_of_audio_start():
    eight = {"rate": 8000, "width": 2, "channels": 2}
    played = Played().client(Frame("audio-start", eight), Frame("audio-chunk", {}, bytes(4)))
    assert played.opened.audio == AudioSpec("s16le", 8000, 2)


@pytest.mark.parametrize(("width", "sample"), [(3, b"\x99\x01\x80"), (4, b"\x98\x99\x01\x80")])
def test_wider_samples_are_narrowed_wherever_chunks_are_cut(width: int, sample: bytes):
    audio = {**PCM, "width": width}
    for cut in range(len(sample) + 1):
        played = Played().client(*(Frame("audio-chunk", audio, part) for part in (sample[:cut], sample[cut:])))
        assert b"".join(each.data for each in played.commands if isinstance(each, Audio)) == b"\x01\x80"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"width": 1}, Unsupported),
        ({"rate": 0}, BadOption),
        ({"rate": "16k"}, BadOption),
        ({"channels": True}, BadOption),
    ],
)
def test_an_impossible_format_is_refused(data: dict, kind: type[EarloopError]):
    with pytest.raises(kind):
        Played().client(Frame("audio-start", {**PCM, **data}))


def test_a_request_is_of_one_format():
    with pytest.raises(BadOption, match="one format"):
        Played().client(CHUNK, Frame("audio-chunk", {**PCM, "rate": 8000}, bytes(4)))


def test_names_and_terms_are_hints_names_first_each_once():
    wished = Frame("transcribe", {"transcript_terms": ["lamp", "Ada"], "transcript_names": ["Ada", "Grace"]})
    assert Played().client(wished, CHUNK).opened.hints == ("Ada", "Grace", "lamp")


def test_names_beyond_what_a_stream_may_have_are_left_out_and_counted():
    names = [f"{number:05}" + "a" * 95 for number in range(300)]
    played = Played().client(Frame("transcribe", {"transcript_names": names}), CHUNK)
    assert played.opened.hints == tuple(names[: MAX_HINT_LETTERS // 100])
    assert played.codec.wishes.left_out == 100


@pytest.mark.parametrize(("sensitivity", "silence_ms"), [("default", None), ("relaxed", 1250), ("aggressive", 250)])
def test_sensitivity_is_the_silence_that_ends_a_command(sensitivity: str, silence_ms: int | None):
    played = Played().client(Frame("transcribe", {"vad_sensitivity": sensitivity}), CHUNK)
    assert played.opened.endpointing.silence_ms == silence_ms


@pytest.mark.parametrize(
    "data", [{"vad_sensitivity": "asleep"}, {"name": 7}, {"language": []}, {"transcript_names": "Ada"}]
)
def test_wishes_that_cannot_be_are_refused(data: dict):
    with pytest.raises(BadOption):
        Played().client(Frame("transcribe", data))


def test_wishes_go_for_one_request():
    played = Played().client(Frame("transcribe", {"language": "de", "name": "m"}), CHUNK, STOP)
    played.session(READY, said("", reason="finish"), Finished(1.0, "toy"))
    played.client(CHUNK)
    first, second = (each for each in played.commands if isinstance(each, Open))
    assert (first.language, first.model) == ("de", "m")
    assert (second.language, second.model) == (None, None)


def test_nothing_that_is_heard_here_is_kept():
    assert Played().client(CHUNK).opened.collect is False


@pytest.mark.parametrize("kind", ["select-program", "synthesize", "", "voice-started", "transcript"])
def test_types_that_are_not_known_are_passed_over(kind: str):
    played = Played().client(Frame(kind, {"name": "x"}))
    assert (played.wire, played.commands) == ([], [])


def test_a_ping_is_answered_with_its_text():
    assert told(Played().client(Frame("ping", {"text": "hello"}), Frame("ping")).wire) == [
        ("pong", {"text": "hello"}),
        ("pong", {"text": None}),
    ]


# -------------------------------------------------------------------------------------------------- when it is answered


def test_a_command_is_answered_at_its_end_before_audio_stop():
    played = Played().client(CHUNK).session(READY, SpeechStarted(0.4), SpeechStopped(2.0), said("turn on"))
    assert told(played.wire) == [
        ("voice-started", {"timestamp": 400}),
        ("voice-stopped", {"timestamp": 2000}),
        ("transcript-start", {"language": "en"}),
        ("transcript-chunk", {"text": "turn on"}),
        ("transcript", {"text": "turn on", "language": "en"}),
        ("transcript-stop", {}),
    ]
    assert played.codec.state == "answered"


def test_what_comes_after_an_early_answer_is_passed_over_up_to_the_next_request():
    played = Played().client(CHUNK).session(READY, said("turn on")).client(CHUNK, CHUNK, STOP)
    assert len(played.commands) == 2  # Open and the first chunk
    assert transcripts(played.wire) == ["turn on"]
    assert played.client(CHUNK).codec.state == "listening"


@pytest.mark.parametrize("begins", ["transcribe", "audio-start"])
def test_a_request_may_follow_an_early_answer_without_audio_stop(begins: str):
    played = Played().client(CHUNK).session(READY, said("turn on")).client(Frame(begins), CHUNK)
    assert played.codec.state == "listening"


@pytest.mark.parametrize("version", ["1.5.3", "1.7.2", "1.9.0"])
def test_a_client_too_old_to_know_of_early_answers_gets_one_of_all_it_sent(version: str):
    old = Frame("audio-chunk", PCM, bytes(640), version)
    played = Played().client(old).session(READY, said("turn on"), said("", 2.5, "noise"), said("the light", 4.0))
    assert transcripts(played.wire) == []
    played.client(STOP).session(said("", 5.0, "finish"), Finished(5.0, "toy"))
    assert transcripts(played.wire) == ["turn on the light"]


def test_an_old_client_that_names_a_sensitivity_waits_for_us():
    wished = Frame("transcribe", {"vad_sensitivity": "default"}, version="1.9.0")
    assert transcripts(Played().client(wished, CHUNK).session(READY, said("turn on")).wire) == ["turn on"]


def test_without_endpointing_the_client_says_when_it_ends():
    played = Played(WyomingCodec(endpointing=False)).client(CHUNK).session(READY, said("turn on"))
    assert transcripts(played.wire) == []
    assert not played.opened.acknowledge


def test_a_recording_sent_at_once_is_heard_whole():
    played = Played().client(CHUNK).session(READY, said("one"), said("two", 9.0), live=False).client(STOP)
    played.session(said("three", 12.0, "finish"), Finished(12.0, "toy"), live=False)
    assert transcripts(played.wire) == ["one two three"]


def test_once_audio_stop_has_come_all_of_it_is_heard():
    played = Played().client(CHUNK, STOP).session(READY, said("one"))
    assert transcripts(played.wire) == []
    assert transcripts(played.session(said("two", 4.0, "finish"), Finished(4.0, "toy")).wire) == ["one two"]


def test_the_end_of_a_wake_word_is_no_part_of_the_command():
    played = Played().client(CHUNK).session(READY, said("louie", TAIL_S), said("turn on", 3.0))
    assert transcripts(played.wire) == ["turn on"]


def test_a_word_said_at_once_is_a_command_when_none_follows():
    played = Played().client(CHUNK).session(READY, said("stop", 0.6), Heard(0.6 + WAIT_S - 0.1))
    assert transcripts(played.wire) == []
    assert transcripts(played.session(Heard(0.6 + WAIT_S)).wire) == ["stop"]


def test_who_begins_to_speak_again_is_waited_for():
    played = Played().client(CHUNK).session(READY, said("louie", 0.6), SpeechStarted(2.0), Heard(4.0))
    assert transcripts(played.wire) == []


def test_where_nobody_speaks_the_transcript_is_empty_in_the_end():
    played = Played().client(CHUNK).session(READY, said("", 5.0, "noise"), Heard(NOTHING_S - 0.1))
    assert transcripts(played.wire) == []
    assert transcripts(played.session(Heard(NOTHING_S)).wire) == [""]


def test_silence_up_to_audio_stop_is_an_empty_transcript():
    played = Played().client(CHUNK, STOP).session(READY, said("", 1.0, "finish"), Finished(1.0, "toy"))
    assert transcripts(played.wire) == [""]


def test_an_error_is_told_with_its_code():
    assert told(WyomingCodec().render_error(Busy("all are taken"))) == [
        ("error", {"text": "all are taken", "code": "busy"})
    ]


TURNS = st.lists(
    st.tuples(st.sampled_from(["one", "two words", ""]), st.floats(0.1, 60), st.booleans(), st.sampled_from("shc")),
    max_size=8,
)


@settings(max_examples=120, deadline=None)
@given(TURNS, st.booleans(), st.sampled_from(["1.5.3", "1.10.2", ""]))
def test_chunks_always_spell_the_one_transcript(turns, endpointing: bool, version: str):
    chunk = Frame("audio-chunk", PCM, bytes(640), version)
    played = Played(WyomingCodec(endpointing=endpointing)).client(chunk).session(READY)
    for text, end_s, live, kind in turns:
        if played.codec.busy:
            event = {"s": SpeechStarted(end_s), "h": Heard(end_s), "c": said(text, end_s)}[kind]
            played.session(event, live=live)
    if played.codec.busy:
        played.client(STOP).session(Finished(60.0, "toy"))
    heard = told(played.wire)
    chunks = "".join(data["text"] for kind, data in heard if kind == "transcript-chunk")
    (whole,) = transcripts(played.wire)
    assert chunks == whole
    order = [kind for kind, _ in heard if kind.startswith("transcript")]
    assert order == ["transcript-start", *["transcript-chunk"] * (len(order) - 3), "transcript", "transcript-stop"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.builds(
            Frame,
            st.sampled_from(["transcribe", "audio-start", "audio-chunk", "audio-stop", "describe", "ping", "x"]),
            st.dictionaries(
                st.sampled_from(["rate", "width", "channels", "language", "name", "text", "transcript_names"]),
                st.sampled_from([None, 2, 16000, "en", ["a"], -1, {}]),
                max_size=3,
            ),
            st.binary(max_size=9),
        ),
        max_size=12,
    )
)
def test_any_frames_in_any_order_are_commands_in_order_or_a_kind_of_our_errors(frames: list[Frame]):
    codec, is_open = WyomingCodec(), False
    for frame in frames:
        try:
            items = codec.receive(frame)
        except EarloopError as error:
            assert told(codec.render_error(error))
            return
        for item in items:
            assert is_open or not isinstance(item, Audio | Finish)
            is_open = isinstance(item, Open) or (is_open and not isinstance(item, Finish))
        if codec.state == "finishing":
            assert codec.send(Finished(0.0, "toy"), live=True)


# ----------------------------------------------------------------------------------------------------------------- info


def test_info_names_models_and_their_languages():
    frame = info([Offered("small", "en", "7"), Offered("klein", "de")], "0.1.0", endpointing=True)
    (program,) = frame.data["asr"]
    assert (program["name"], program["version"], program["installed"]) == ("Earloop", "0.1.0", True)
    assert [(model["name"], model["languages"]) for model in program["models"]] == [
        ("small", ["en"]),
        ("klein", ["de"]),
    ]
    assert program["supports_transcript_streaming"]
    assert not program["requires_external_vad"]
    assert frame.data["tts"] == []


def test_without_endpointing_clients_are_told_to_use_a_detector_of_their_own():
    (program,) = info([], "0.1.0", endpointing=False).data["asr"]
    assert program["requires_external_vad"]
