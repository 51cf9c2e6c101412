"""A stream hears what the whole clip says, however far its model looks ahead and however late it writes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from stt_server.messages import Endpointing, Final, Open, SpeechStarted, SpeechStopped
from stt_server.speech.bundle import Bundle
from stt_server.speech.recognizer import Recognizer, as_bytes, offline
from tests.bundles import WORDS, spoken
from tests.voices import silence, white_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.messages import Event
    from stt_server.speech.acoustic import AcousticModel, State
    from tests.voices import Samples

GREEDY = offline(Open("test", decoder="greedy"))
FRAME_S = 0.04
AHEAD = [0, 5, 10, 98]  # frames beyond the two of the tiny model; with them a bundle may declare up to 100
LATE = [0, 12]
SAID = [("yes",), ("no", "stop"), ("light", "light", "no"), ("stop", "yes", "light", "no")]


class Delayed:
    """A real model whose log-probabilities come `frames` later; before them, and before its own lag, it names nothing.

    Of a delay that the bundle declares the frames are counted back, as with a model that looks so far ahead. One that
    it does not declare is that of a model that writes a sound so long after it was heard.
    """

    def __init__(self, model: AcousticModel, lag: int, frames: int) -> None:
        self._model, self.n_mels, self.labels, self._lag = model, model.n_mels, model.labels, lag
        self._blanks = np.full((lag + frames, model.labels), -20.0, np.float32)
        self._blanks[:, 0] = 0.0

    def initial(self) -> State:
        return (*self._model.initial(), self._blanks)

    def step(self, features: Samples, states: Sequence[State]) -> tuple[Samples, list[State]]:
        logprobs, after = self._model.step(features, [state[:-1] for state in states])
        lines = []
        for state, rows in zip(states, logprobs, strict=True):
            begins = state[-1] is self._blanks  # then the first rows are about time before the first sound
            lines.append(np.concatenate([state[-1], rows[self._lag :] if begins else rows]))
        count = logprobs.shape[1]
        return (
            np.stack([line[:count] for line in lines]),
            [(*state, line[count:]) for state, line in zip(after, lines, strict=True)],
        )


def delayed(tiny: Recognizer, ahead: int, late: int = 0) -> Recognizer:
    """The tiny recogniser with a model that looks so many frames further ahead, and writes so many frames late."""
    manifest = tiny.bundle.manifest
    longer = manifest.model_copy(update={"lag_frames": manifest.lag_frames + ahead})
    model: AcousticModel = Delayed(tiny.model, manifest.lag_frames, ahead + late)  # type: ignore[assignment]
    return Recognizer(Bundle(tiny.bundle.folder, longer), model, tiny.decoders, tiny.settings)


def whole(recognizer: Recognizer, samples: Samples) -> str:
    """What the model makes of a clip that it is given at once, with the silence behind it that its lag asks for."""
    manifest = recognizer.bundle.manifest
    mel, lag = recognizer._shared.mel, manifest.lag_frames
    count = -(-len(samples) // 640)
    features = mel.whole(np.pad(samples, (0, (count + lag) * 640 + 240 - len(samples))))
    logprobs, _ = recognizer.model.step(features[None], [recognizer.model.initial()])
    labels = logprobs[0, lag : lag + count].argmax(1)
    letters = [manifest.labels[label - 1] for label, _ in itertools.groupby(labels.tolist()) if label]
    return " ".join("".join(letters).split())


def listen(recognizer: Recognizer, samples: Samples, options: Open = GREEDY) -> list[tuple[float, Event]]:
    """The events of a stream that gets 20 ms at a time, each with the seconds of audio that were needed for it."""
    stream, told = recognizer.open(options), []
    for start in range(0, len(samples), 320):
        recognizer.accept(stream, as_bytes(samples[start : start + 320]))
        told += _worked(recognizer, stream)
    recognizer.finish(stream)
    return told + _worked(recognizer, stream)


def _worked(recognizer, stream) -> list[tuple[float, Event]]:
    while recognizer.ready(stream):
        recognizer.advance([stream])
    return [(stream.audio_s, event) for event in recognizer.take(stream)]


def hear_all(recognizer: Recognizer, clips: Sequence[Samples]) -> list[str]:
    """The words of each clip, all of them in one batch."""
    streams = [recognizer.open(GREEDY) for _ in clips]
    for stream, clip in zip(streams, clips, strict=True):
        recognizer.accept(stream, as_bytes(clip))
        recognizer.finish(stream)
    while ready := [stream for stream in streams if recognizer.ready(stream)]:
        recognizer.advance(ready)
    return [recognizer.transcript(stream).text for stream in streams]


def texts(told: list[tuple[float, Event]]) -> list[str]:
    return [event.text for _, event in told if isinstance(event, Final) and event.text]


def quiet(seconds: float) -> Samples:
    return white_noise(seconds, -60) if seconds else silence(0)


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("ahead", AHEAD)
def test_clips_are_heard_as_the_model_hears_them_whole_whatever_silence_follows(tiny, ahead, late):
    recognizer = delayed(tiny, ahead, late)
    cases = list(itertools.product(SAID, (0.0, 0.2, 0.5, 1.0)))
    clips = [np.concatenate([spoken(*said), quiet(trailing_s)]) for said, trailing_s in cases]
    for (said, trailing_s), clip, heard in zip(cases, clips, hear_all(recognizer, clips), strict=True):
        assert heard == whole(recognizer, clip)
        if trailing_s + 0.2 >= late * FRAME_S:  # a quarter of a second follows the last word
            assert heard.split() == list(said)


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("ahead", AHEAD)
def test_utterances_are_parted_where_the_speaker_pauses_and_nothing_is_lost_or_heard_twice(tiny, ahead, late):
    parts = [spoken(*said, gap_s=0.15) for said in SAID]
    audio = np.concatenate([piece for part in parts for piece in (part, quiet(0.7))] + [quiet(0.6)])
    assert texts(listen(delayed(tiny, ahead, late), audio)) == [" ".join(said) for said in SAID]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("ahead", AHEAD)
def test_a_short_silence_asked_for_does_not_cut_the_letters_of_a_late_model(tiny, ahead, late):
    hasty = replace(GREEDY, endpointing=Endpointing(silence_ms=200))
    audio = np.concatenate([spoken("yes", gap_s=0.2), quiet(0.3), spoken("no", gap_s=0.2), quiet(1.0)])
    assert texts(listen(delayed(tiny, ahead, late), audio, hasty)) == ["yes", "no"]


@pytest.mark.parametrize("ahead", AHEAD[1:])
@pytest.mark.parametrize("said", SAID)
def test_looking_further_ahead_makes_no_final_later(tiny, ahead, said):
    """The model settles on what was heard; it does not wait for more. Four seconds ahead it has named nothing when the
    silence is complete: then it is that of an utterance without words, `token_lag_ms` longer.
    """
    audio = np.concatenate([spoken(*said), quiet(3.0)])
    (near_s,), (far_s,) = (
        [at_s for at_s, event in listen(recognizer, audio) if isinstance(event, Final) and event.text]
        for recognizer in (tiny, delayed(tiny, ahead))
    )
    assert far_s <= near_s + (0.0 if ahead < 20 else 0.2 + 4 * FRAME_S)


@pytest.mark.parametrize("ahead", AHEAD)
def test_an_utterance_cut_for_its_length_loses_no_letter_and_repeats_none(tiny, ahead):
    recognizer = delayed(tiny, ahead, 3)
    audio = spoken(*WORDS * 3, gap_s=0.15)
    short = replace(GREEDY, endpointing=Endpointing(max_utterance_ms=1500))
    heard = texts(listen(recognizer, audio, short))
    assert len(heard) > 2
    assert "".join(heard).replace(" ", "") == "".join(WORDS * 3)


@pytest.mark.parametrize("ahead", AHEAD)
def test_without_endpointing_a_pause_loses_nothing_and_words_keep_their_times(tiny, ahead):
    audio = np.concatenate([spoken("stop"), quiet(2.0), spoken("stop"), quiet(1.0)])
    whole_stream = replace(GREEDY, endpointing=Endpointing(enabled=False))
    (final,) = [e for _, e in listen(delayed(tiny, ahead), audio, whole_stream) if isinstance(e, Final)]
    assert final.text == "stop stop"
    first, second = final.words
    assert second.start_s - first.start_s == pytest.approx(len(spoken("stop")) / 16_000 + 2.0, abs=0.1)


@pytest.mark.parametrize("ahead", AHEAD)
def test_a_clip_that_ends_before_its_silence_is_complete_is_ended_by_its_end(tiny, ahead):
    """Silence that nobody heard, only the padding behind the last sample, ends nothing."""
    told = [event for _, event in listen(delayed(tiny, ahead), spoken("stop", gap_s=0.3))]
    assert [event.reason for event in told if isinstance(event, Final)] == ["finish"]
    assert [type(event) for event in told if isinstance(event, SpeechStarted | SpeechStopped)] == [
        SpeechStarted,
        SpeechStopped,
    ]


def test_a_flush_while_the_model_settles_comes_behind_the_final(tiny):
    """The stream is fed until it is about to settle, then flushed before the model has heard any more."""
    recognizer = delayed(tiny, 23)
    stream, audio = recognizer.open(GREEDY), np.concatenate([spoken("stop"), quiet(2.0)])
    for start in range(0, len(audio), 320):
        recognizer.accept(stream, as_bytes(audio[start : start + 320]))
        while recognizer.ready(stream) and stream._ending is None:
            recognizer.advance([stream])
        if stream._ending is not None:
            break
    assert stream._ending is not None
    recognizer.flush(stream)
    recognizer.accept(stream, as_bytes(spoken("yes")))
    recognizer.finish(stream)
    finals = [event for _, event in _worked(recognizer, stream) if isinstance(event, Final)]
    assert [(final.text, final.reason) for final in finals] == [("stop", "silence"), ("", "flush"), ("yes", "finish")]
