"""Conversations to figures.

    chunk latency        a partial's arrival − the moment the frame was sent without which it could not be known. Which
                         frame that is, the recogniser says, run alone over the same audio: the model's look-ahead
                         and step are not counted, network, queue, batch and decoder are
    flush → final        push to talk: the Final's arrival − the moment `flush` was sent, right behind the last voiced
                         sound. What a user waits after letting go of the button
    speech end → final   hands free: the Final's arrival − the moment the frame with the clip's last voiced 10 ms was
                         sent. Includes the configured silence
    …, silence taken off the same − silence_ms: what waiting, model and server add

All by the client's clock. A turn in which the server ended the utterance early (a long pause inside a clip), or not
before its flush, has no latency of its kind and is counted as such. Words are compared per turn, all its finals joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.messages import Behind, Final, Partial
from stt_server.speech.text import normalize
from stt_server.speech.wer import count_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stt_server.commands.bench.bare import BareRun, Heard
    from stt_server.commands.bench.load import Conversation
    from stt_server.commands.bench.script import Turn


@dataclass(frozen=True, slots=True)
class Percentiles:
    """In milliseconds, of `count` values; None without any."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Percentiles:
        values = 1000 * np.asarray(list(seconds))
        return cls(len(values), *np.percentile(values, [50, 95, 99]).round(1).tolist()) if len(values) else cls(0)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a turn was answered: its text, and when its last words came and its flush was answered."""

    turn: Turn
    text: str
    worded: tuple[float, Final] | None
    closed: float
    flushed: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load test found. Times of the client are how much later than due it sent its frames."""

    streams: int
    failed: int
    faults: list[str]
    audio_s: float
    turns: int
    words: int
    word_error_rate: float
    chunk_latency_ms: Percentiles
    flush_to_final_ms: Percentiles
    speech_end_to_final_ms: Percentiles
    speech_end_to_final_without_silence_ms: Percentiles
    ended_early: int
    not_ended: int
    behind_notices: int
    client_lateness_ms: Percentiles


def measure(conversations: Sequence[Conversation], alone: BareRun | None, silence_ms: int) -> Figures:
    """The figures of a run. `alone` is the recogniser's run in the same pieces; without it chunk latency is unknown."""
    answers = [(each, answer) for each in conversations for answer in _answers(each)]
    talked = [answer for _, answer in answers if answer.turn.push_to_talk]
    handsfree = [(each, answer) for each, answer in answers if not answer.turn.push_to_talk]
    waits = [wait for each, answer in handsfree if (wait := _wait(each, answer)) is not None]
    errors = count_errors((answer.turn.text, normalize(answer.text)) for _, answer in answers)
    prompt = [answer for answer in talked if not _ended_before(answer)]
    faults = [str(each.fault) for each in conversations if each.fault]
    return Figures(
        streams=len(conversations),
        failed=len(faults),
        faults=sorted(set(faults))[:10],
        audio_s=round(sum(each.lengths[-1] for each in conversations if each.lengths) / 16_000, 1),
        turns=len(answers),
        words=errors.words,
        word_error_rate=round(errors.rate, 4),
        chunk_latency_ms=Percentiles.of(_chunk_latencies(conversations, alone) if alone else []),
        flush_to_final_ms=Percentiles.of(answer.closed - answer.flushed for answer in prompt),
        speech_end_to_final_ms=Percentiles.of(waits),
        speech_end_to_final_without_silence_ms=Percentiles.of(wait - silence_ms / 1000 for wait in waits),
        ended_early=len(talked) - len(prompt),
        not_ended=len(handsfree) - len(waits),
        behind_notices=sum(isinstance(event, Behind) for each in conversations for _, event in each.events),
        client_lateness_ms=Percentiles.of(late for each in conversations for late in each.late),
    )


def word_error_rate_alone(conversations: Sequence[Conversation], alone: BareRun) -> float:
    """The word error rate of the recogniser without a server, on the turns that were answered."""
    pairs = []
    for conversation, heard in zip(conversations, alone.heard, strict=True):
        texts, said = [], [""]
        for each in heard:
            if isinstance(each.event, Final):
                said.append(each.event.text)
                if each.event.reason == "flush":
                    texts.append(" ".join(said))
                    said = [""]
        turns = conversation.script.turns[: len(list(_answers(conversation)))]
        pairs += [(turn.text, normalize(text)) for turn, text in zip(turns, texts, strict=False)]
    return round(count_errors(pairs).rate, 4)


def _answers(conversation: Conversation) -> Iterable[Answer]:
    """Each turn that was answered: the finals up to the one that answers its flush."""
    finals: list[tuple[float, Final]] = []
    turns = iter(zip(conversation.script.turns, conversation.flushed, strict=False))
    for at, event in conversation.events:
        if not isinstance(event, Final):
            continue
        finals.append((at, event))
        if event.reason == "flush":
            turn, flushed = next(turns)
            worded = [each for each in finals if each[1].text]
            text = " ".join(final.text for _, final in worded)
            yield Answer(turn, text, worded[-1] if worded else None, at, flushed)
            finals = []


def _ended_before(answer: Answer) -> bool:
    """Whether words of a push-to-talk turn came before its flush: then nobody waited for them."""
    return answer.worded is not None and answer.worded[1].reason != "flush"


def _wait(conversation: Conversation, answer: Answer) -> float | None:
    """From the last voiced sound to the words of a hands-free turn; None when the endpoint did not bring them."""
    if answer.worded is None or answer.worded[1].reason in ("flush", "max_length"):
        return None
    at = answer.worded[0]
    wait = at - conversation.sent_at(answer.turn.voice_end)
    return wait if wait > 0 else None


def _chunk_latencies(conversations: Sequence[Conversation], alone: BareRun) -> Iterable[float]:
    for conversation, heard in zip(conversations, alone.heard, strict=True):
        yield from (latency for _, latency in timed_chunks(conversation, heard))


def timed_chunks(conversation: Conversation, heard: Sequence[Heard]) -> Iterable[tuple[float, float]]:
    """When each partial of a conversation arrived, and its chunk latency; `heard` is what the recogniser says alone."""
    known: dict[tuple[int, str], int] = {}
    for each in heard:
        if isinstance(each.event, Partial):
            known.setdefault((each.event.utterance, each.event.text), each.length)
    for at, event in conversation.events:
        key = (event.utterance, event.text) if isinstance(event, Partial) else None
        if key in known:
            yield at, at - conversation.sent_at(known.pop(key))
