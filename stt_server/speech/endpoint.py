"""When an utterance begins and ends, from two witnesses: VAD flags and the frames in which the model named a token.

                     speech in ≥ min_speech_ms of the window, or a token
        ┌─────────┐ ───────────────────────────────────────────────────► ┌──────────┐
        │ waiting │                    SpeechStarted                     │ speaking │
        └─────────┘ ◄─────────────────────────────────────────────────── └──────────┘
                                  Endpoint, for one of four reasons
        silence      tokens came, and neither witness has heard anything for silence_ms
        blank        tokens came, and the model has named none for blank_ms, though the VAD still hears "speech"
        noise        no token came: the VAD fell silent again, or heard something for noise_timeout_ms
        max_length   the utterance is max_utterance_ms long

Each witness covers for the other. The VAD ends a "stop" promptly; loud babble or music that the VAD takes for speech is
ended by the model's blanks. After `blank` and `noise` the VAD is not believed again until it has been silent for once.

The witnesses run at different delays, for the model looks ahead: when it speaks about a frame, the VAD has heard
`vad_ahead_ms` more. An endpoint does not wait until both have spoken about all of the silence, for a model that looks
far ahead is then still in the middle of the last word. The VAD vouches for the silence, and the endpoint says so
(`in_silence`): whoever hears it lets the model write about all of it before another begins.
Letters are late, too: a model that learned by CTC writes a sound when it pleases, up to `late_ms` after it. What comes
later still was no sound that the VAD heard; then the VAD is deaf to this voice, and the model alone is asked.

All is decided model frame by model frame, in integer milliseconds since the stream began: how the audio or the evidence
was cut never changes an event or its time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from stt_server.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Iterable

Reason = Literal["silence", "blank", "noise", "max_length"]


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """All times in milliseconds. `vad_frame_ms` must divide `model_frame_ms`."""

    silence_ms: int = 600
    min_utterance_ms: int = 0  # none ends earlier, counted from its start
    max_utterance_ms: int = 30_000
    noise_timeout_ms: int = 5_000
    min_speech_ms: int = 100  # of VAD speech in the start window; webrtcvad hears 80 ms in any stream's first noise
    start_window_ms: int = 160
    token_lag_ms: int = 200  # a model names a sound so long after it was heard, or sooner
    late_ms: int = 600  # and hardly ever longer after it than that
    vad_ahead_ms: int = 0  # by which the VAD has heard more than the model has spoken about
    vad_frame_ms: int = 20
    model_frame_ms: int = 40

    def __post_init__(self) -> None:
        for field, (low, high) in _BOUNDS_MS.items():
            value = getattr(self, field)
            if type(value) is not int or not low <= value <= high:
                raise BadOption(f"{field} must be a whole number from {low} to {high} ms, not {value!r}", field=field)
        if self.max_utterance_ms <= self.min_utterance_ms:
            raise BadOption("max_utterance_ms must be greater than min_utterance_ms", field="max_utterance_ms")
        if self.min_speech_ms > self.start_window_ms:
            raise BadOption("min_speech_ms must fit into start_window_ms", field="min_speech_ms")
        if self.model_frame_ms % self.vad_frame_ms or self.vad_ahead_ms % self.vad_frame_ms:
            raise BadOption("vad_frame_ms must divide model_frame_ms and vad_ahead_ms", field="vad_frame_ms")

    @property
    def blank_ms(self) -> int:
        """How long the model must name nothing to overrule a VAD that hears speech: longer than any word's middle."""
        return max(self.silence_ms, 800) + 200


_BOUNDS_MS = {
    "silence_ms": (100, 10_000),
    "min_utterance_ms": (0, 60_000),
    "max_utterance_ms": (1_000, 600_000),
    "noise_timeout_ms": (500, 60_000),
    "min_speech_ms": (20, 1_000),
    "start_window_ms": (20, 2_000),
    "token_lag_ms": (0, 1_000),
    "late_ms": (0, 2_000),
    "vad_ahead_ms": (0, 10_000),
    "vad_frame_ms": (10, 30),
    "model_frame_ms": (10, 200),
}


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    at_ms: int  # when the first sound of it was heard, since the stream began


@dataclass(frozen=True, slots=True)
class Endpoint:
    at_ms: int  # when it was decided: every frame before belongs to the utterance
    reason: Reason
    started_ms: int
    speech_end_ms: int  # end of the last sound either witness heard
    in_silence: bool  # the VAD hears nothing, so what the model is yet to write stands for what was before


Event = SpeechStarted | Endpoint


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Where a stream stands. `now_ms` is the time up to which the model has spoken and all is decided, `voice_ms` the
    one up to which the VAD has. A model that begins is first late, then speaks: `now_ms` begins below zero by that.
    """

    now_ms: int = 0
    voice_ms: int = 0
    waiting_vad: tuple[bool, ...] = ()
    waiting_tokens: tuple[bool, ...] = ()
    recent_vad: tuple[bool, ...] = ()  # the start window, while waiting
    vad_believed: bool = True
    started_ms: int | None = None  # None while waiting for speech
    voice_end_ms: int = 0  # end of the last frame that the VAD called speech
    token_end_ms: int | None = None  # end of the last frame with a token; None before the first

    @property
    def is_speaking(self) -> bool:
        return self.started_ms is not None


def advance(
    config: EndpointConfig,
    state: EndpointState,
    vad: Iterable[bool] = (),
    tokens: Iterable[bool] = (),
    *,
    closing: bool = False,
) -> tuple[EndpointState, list[Event]]:
    """Hear the next VAD flags and the model's next frames (True: a token was named in it), and decide what can be.

    Each witness's evidence comes in order and without gaps. One may be ahead: its flags wait in the state, so the
    caller bounds them by feeding both from the same audio. `closing`: the audio has ended, and the utterance with it;
    the silence that follows was heard by nobody and ends nothing.
    """
    heard_vad, heard_tokens = (*state.waiting_vad, *vad), (*state.waiting_tokens, *tokens)
    events: list[Event] = []
    used = steps = 0
    while steps < len(heard_tokens) and len(heard_vad) - used >= (needed := _flags_needed(config, state)):
        state = _hear(config, state, heard_vad[used : used + needed], heard_tokens[steps])
        used, steps = used + needed, steps + 1
        state, event = _decide(config, state, closing)
        if event is not None:
            events.append(event)
    return replace(state, waiting_vad=heard_vad[used:], waiting_tokens=heard_tokens[steps:]), events


def _flags_needed(config: EndpointConfig, state: EndpointState) -> int:
    """VAD flags that go with the next model frame: its own, and with the first one those by which the VAD is ahead."""
    return (state.now_ms + config.model_frame_ms + config.vad_ahead_ms - state.voice_ms) // config.vad_frame_ms


def begin_stream(config: EndpointConfig) -> EndpointState:
    """Before the first sound. The model's frames that are about no time yet are evidence like others: no token."""
    return EndpointState(now_ms=-config.vad_ahead_ms)


def begin_utterance(state: EndpointState) -> EndpointState:
    """End the utterance here without an event, as a client's flush does. The clock and early evidence go on."""
    return EndpointState(
        state.now_ms, state.voice_ms, state.waiting_vad, state.waiting_tokens, vad_believed=state.vad_believed
    )


def _hear(config: EndpointConfig, state: EndpointState, flags: tuple[bool, ...], token: bool) -> EndpointState:
    """The state one model frame later, nothing decided yet."""
    window = config.start_window_ms // config.vad_frame_ms
    recent = (*state.recent_vad, *flags)[-window:]
    voice_end_ms = state.voice_end_ms
    for i, speech in enumerate(flags, start=1):
        if speech:
            voice_end_ms = state.voice_ms + i * config.vad_frame_ms
    now_ms = state.now_ms + config.model_frame_ms
    return replace(
        state,
        now_ms=now_ms,
        voice_ms=state.voice_ms + len(flags) * config.vad_frame_ms,
        recent_vad=recent,
        vad_believed=state.vad_believed or (len(recent) == window and not any(recent)),
        voice_end_ms=voice_end_ms,
        token_end_ms=now_ms if token else state.token_end_ms,
    )


def _decide(config: EndpointConfig, state: EndpointState, closing: bool) -> tuple[EndpointState, Event | None]:
    if state.started_ms is None:
        started_ms = _start(config, state)
        if started_ms is None:
            return state, None
        return replace(state, started_ms=started_ms), SpeechStarted(started_ms)
    reason = None if closing else _reason_to_end(config, state, state.started_ms)
    if reason is None:
        return state, None
    in_silence = reason == "silence" or (reason == "noise" and _is_silent(config, state, state.started_ms))
    event = Endpoint(state.now_ms, reason, state.started_ms, _speech_end(config, state, reason), in_silence)
    state = replace(state, vad_believed=in_silence or reason == "max_length")
    return begin_utterance(state), event


def _start(config: EndpointConfig, state: EndpointState) -> int | None:
    """When the speech that is now certain began; None while it is not."""
    recent = state.recent_vad if state.vad_believed else ()
    enough = sum(recent) * config.vad_frame_ms >= config.min_speech_ms
    if not enough and state.token_end_ms is None:
        return None
    by_token = state.now_ms - config.model_frame_ms
    if not any(recent):
        return by_token
    by_voice = state.voice_ms - (len(recent) - recent.index(True)) * config.vad_frame_ms
    return by_voice if state.token_end_ms is None else min(by_voice, by_token)


def _reason_to_end(config: EndpointConfig, state: EndpointState, started_ms: int) -> Reason | None:
    length_ms = state.now_ms - started_ms
    if length_ms >= config.max_utterance_ms:
        return "max_length"
    if state.voice_ms - started_ms < config.min_utterance_ms:
        return None
    is_silent = _is_silent(config, state, started_ms)
    if state.token_end_ms is None:
        return "noise" if is_silent or length_ms >= config.noise_timeout_ms else None
    if is_silent:
        return "silence"
    return "blank" if state.now_ms - state.token_end_ms >= config.blank_ms else None


def _is_silent(config: EndpointConfig, state: EndpointState, started_ms: int) -> bool:
    """Whether it has been silent for long enough, by the witness who hears this voice."""
    if state.token_end_ms is None:
        # The model may still name the last sound, so this silence is longer than the one after words.
        silence_ms = config.silence_ms + config.token_lag_ms
        return state.voice_ms - max(state.voice_end_ms, started_ms) >= silence_ms
    is_deaf = state.token_end_ms - state.voice_end_ms > config.late_ms
    heard_ms = state.now_ms if is_deaf else state.voice_ms
    return heard_ms - _last_sound(config, state) >= config.silence_ms


def _last_sound(config: EndpointConfig, state: EndpointState) -> int:
    """End of what either witness heard last, the model's lateness taken off but never more than half the silence."""
    lag_ms = min(config.token_lag_ms, config.silence_ms // 2)
    return max(state.voice_end_ms, (state.token_end_ms or 0) - lag_ms)


def _speech_end(config: EndpointConfig, state: EndpointState, reason: Reason) -> int:
    last_ms = _last_sound(config, state)
    if reason == "blank":  # then what the VAD heard last was not speech
        last_ms = state.token_end_ms or last_ms
    return max(last_ms, state.started_ms or 0)
