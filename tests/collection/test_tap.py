"""What a tap cuts out of a stream: the right bytes, whatever pieces they came in, and only while it may."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from stt_server.collection.keeping import Basis, Heard
from stt_server.collection.recorder import samples_of
from stt_server.collection.tap import LEAD_S, TAIL_S, Take, Tap
from stt_server.messages import AudioSpec, Encoding, Final, Open, Word
from stt_server.speech.pcm import AudioFormat, encode_pcm

PCM = AudioSpec()
BASIS = Basis(frozenset({"training"}), "person", "consent")
RAMP = np.linspace(-0.9, 0.9, 16_000 * 8, dtype=np.float32)  # every moment of eight seconds has a value of its own


class Listening:
    """A tap over a stream, and what came of it."""

    def __init__(self, spec: AudioSpec = PCM, *, longest_s: float = 20.0, share: float = 1.0):
        self.takes: list[Take] = []
        self.lost: list[str] = []
        self.basis: Basis | None = BASIS
        self.tap = Tap(
            "session",
            Open("native", spec),
            longest_s=longest_s,
            share=share,
            heard=Heard(model="toy 1", lm="lm", language="en"),
            device="kitchen",
            basis=lambda: self.basis,
            offer=self.takes.append,
            lost=self.lost.append,
        )

    def send(self, data: bytes, sizes: tuple[int, ...]) -> None:
        at = 0
        for size in itertools.cycle(sizes):
            if at >= len(data):
                return
            self.tap.took(data[at : at + size])
            at += size


def final(start_s: float, end_s: float, text: str = "la") -> Final:
    return Final(0, text, (Word(text, start_s, end_s, 0.9),), start_s, end_s, "silence")


@pytest.mark.parametrize("sizes", [(3200,), (1, 7, 5000), (100_000,), (3, 64_001)])
@pytest.mark.parametrize("encoding", ["s16le", "f32le", "mulaw"])
def test_a_take_is_the_utterance_with_a_little_before_and_after_whatever_pieces_came(
    sizes: tuple[int, ...], encoding: Encoding
):
    listening, form = Listening(AudioSpec(encoding)), AudioFormat(encoding)
    listening.send(encode_pcm(form, RAMP), sizes)
    listening.tap.said(final(2.0, 3.0))
    [take] = listening.takes
    begin, end = round((2.0 - LEAD_S) * 16_000), round((3.0 + TAIL_S) * 16_000)
    np.testing.assert_allclose(samples_of(take), RAMP[begin:end], atol=0.02)


def test_the_words_of_a_take_have_its_own_times_and_the_take_says_what_heard_it():
    listening = Listening()
    listening.send(bytes(16_000 * 2 * 5), (3200,))
    listening.tap.said(final(2.0, 3.0))
    [take] = listening.takes
    assert take.heard.words[0].start_s == pytest.approx(LEAD_S)
    assert take.heard.words[0].end_s == pytest.approx(LEAD_S + 1.0)
    assert (take.heard.text, take.heard.model, take.heard.lm, take.device) == ("la", "toy 1", "lm", "kitchen")


def test_a_take_says_what_was_heard_without_a_language_model():
    listening = Listening()
    listening.send(bytes(16_000 * 2 * 5), (3200,))
    listening.tap.said(replace(final(2.0, 3.0), greedy="la li"))
    assert listening.takes[0].heard.greedy == "la li"


def test_an_utterance_at_the_very_beginning_has_no_lead_in_and_one_at_the_end_no_tail():
    listening = Listening()
    listening.send(bytes(16_000 * 2), (3200,))
    listening.tap.said(final(0.1, 1.0))
    [take] = listening.takes
    assert take.size == 16_000 * 2
    assert take.heard.words[0].start_s == pytest.approx(0.1)


def test_every_utterance_of_a_stream_is_cut_and_what_is_behind_them_is_let_go():
    listening = Listening()
    data = encode_pcm(AudioFormat(), RAMP)
    for second in range(8):
        listening.send(data[second * 32_000 : (second + 1) * 32_000], (3200,))
        listening.tap.said(final(second + 0.2, second + 0.7))
    assert len(listening.takes) == 8
    assert listening.lost == []
    assert sum(map(len, listening.tap._pieces)) <= 32_000


def test_nothing_is_cut_of_silence_nor_once_the_consent_has_ended():
    listening = Listening()
    listening.send(bytes(64_000), (3200,))
    listening.tap.said(final(0.2, 0.7, ""))
    listening.basis = None
    listening.tap.said(final(0.8, 1.3))
    assert (listening.takes, listening.lost) == ([], [])


def test_an_utterance_longer_than_the_ring_is_lost_and_counted_and_the_next_is_not():
    listening = Listening(longest_s=2.0)
    listening.send(bytes(32_000 * 6), (3200,))
    listening.tap.said(final(1.0, 5.9))
    assert (listening.takes, listening.lost) == ([], ["long"])
    listening.send(bytes(32_000), (3200,))
    listening.tap.said(final(6.2, 6.9))
    assert len(listening.takes) == 1


def test_the_ring_holds_no_more_than_it_may_however_long_nobody_speaks():
    listening = Listening(longest_s=2.0)
    for _ in range(100):
        listening.send(bytes(32_000), (3200,))
    assert sum(map(len, listening.tap._pieces)) <= 2 * 32_000 + 3200


def test_a_share_of_none_keeps_nothing():
    listening = Listening(share=0.0)
    listening.send(bytes(64_000), (3200,))
    listening.tap.said(final(0.2, 0.7))
    assert listening.takes == []


def test_a_basis_is_asked_for_at_every_final():
    listening = Listening()
    listening.send(bytes(64_000), (3200,))
    listening.tap.said(final(0.2, 0.7))
    listening.basis = replace(BASIS, consent_id="another")
    listening.tap.said(final(0.8, 1.3))
    assert [take.basis.consent_id for take in listening.takes] == ["consent", "another"]
