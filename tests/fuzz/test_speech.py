"""Raw audio: any bytes in any coding, cut anywhere, are samples or a typed error, alone and through the recogniser."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.errors import BadAudio, EarloopError
from stt_server.messages import AudioSpec, Finished, Open
from stt_server.messages import Final as Utterance
from stt_server.speech.pcm import BYTES_PER_SAMPLE, MAX_FLOAT, AudioFormat, decode_pcm
from stt_server.speech.recognizer import Recognizer
from tests.fuzz.budget import both_runs, counted, drawn, play, played

if TYPE_CHECKING:
    from pathlib import Path

FORMATS: Final = st.builds(
    AudioFormat, st.sampled_from(sorted(BYTES_PER_SAMPLE)), st.sampled_from([8_000, 44_100]), st.integers(1, 8)
)
FRAME_S: Final = 0.04  # of the model, to which the ends of words are rounded
FLOATS: Final = st.lists(st.floats(width=32), max_size=20).map(lambda values: np.array(values, "<f4").tobytes())


def decoded(form: AudioFormat, pieces: list[bytes]) -> bytes | None:
    """The samples as bytes, or None where they cannot be."""
    rest, parts = b"", []
    try:
        for piece in pieces:
            samples, rest = decode_pcm(form, piece, rest)
            assert len(rest) < form.frame_bytes
            parts.append(samples)
    except BadAudio:
        return None
    joined = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    assert joined.dtype == np.float32
    assert np.isfinite(joined).all()
    assert np.abs(joined).max(initial=0) <= MAX_FLOAT
    return joined.tobytes()


@both_runs
def test_bytes_cut_anywhere_are_the_same_samples_or_the_same_refusal(nightly: bool):
    name = "cuts of raw audio"

    @drawn(name, nightly=nightly)
    @given(form=FORMATS, data=st.binary(max_size=300) | FLOATS, cuts=st.lists(st.integers(0, 300), max_size=6))
    def check(form: AudioFormat, data: bytes, cuts: list[int]) -> None:
        played[name] += 1
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[begin:end] for begin, end in pairwise(edges)]
        assert decoded(form, pieces) == decoded(form, [data])

    with counted(name, nightly=nightly):
        check()


@pytest.fixture(scope="module")
def recognizer(shipped_bundle: Path) -> Recognizer:
    return Recognizer.load(shipped_bundle)


@both_runs
def test_any_sound_is_heard_as_something_or_refused(recognizer: Recognizer, nightly: bool):
    """Noise of every level, clipped, silent or jumping; flushed and finished anywhere."""

    def case(seed: str) -> None:
        dice = random.Random(seed)
        form = AudioSpec(
            dice.choice(["s16le", "f32le", "mulaw", "alaw"]), dice.choice([8_000, 16_000, 44_100]), dice.randint(1, 2)
        )
        stream = recognizer.open(Open("fuzz", form, hotwords=("ear",) if dice.random() < 0.2 else ()))
        events = []
        try:
            for _ in range(dice.randint(1, 6)):
                recognizer.accept(stream, _sound(dice))
                if dice.random() < 0.2:
                    recognizer.flush(stream)
                while recognizer.ready(stream):
                    recognizer.advance([stream])
                events += recognizer.take(stream)
            recognizer.finish(stream)
        except EarloopError as error:
            assert error.code == "bad_audio"
            return
        while recognizer.ready(stream):
            recognizer.advance([stream])
        events += recognizer.take(stream)
        assert isinstance(events[-1], Finished)
        finals = [event for event in events if isinstance(event, Utterance)]
        assert [final.utterance for final in finals] == list(range(len(finals)))
        assert all(0 <= final.start_s <= final.end_s <= events[-1].audio_s + FRAME_S for final in finals)
        assert all(0 <= word.confidence <= 1 for final in finals for word in final.words)

    play("sounds through the recogniser", case, nightly=nightly)


def _sound(dice: random.Random) -> bytes:
    kind, size = dice.randrange(5), dice.randint(0, 20_000)
    rng = np.random.default_rng(dice.randrange(1 << 30))
    if kind == 0:
        return dice.randbytes(size)
    if kind == 1:
        return bytes(size)
    if kind == 2:
        return b"\xff\x7f" * (size // 2) + b"\x00\x80" * (size // 2)
    loudness = 10 ** dice.uniform(-6, 1)
    noise = rng.standard_normal(size // 4) * loudness
    return noise.astype("<f4").tobytes() if kind == 3 else (noise * 3000).clip(-32768, 32767).astype("<i2").tobytes()
