"""Pairs and sets for the gate's tests, without any audio, and costs that hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.corpus.clip import Clip
from stt_server.speech.wer import word_errors
from training.gate.hearing import HeardSet, Pair
from training.gate.schema import Costs, Latency, Memory, Parity
from training.gate.sets import GENERAL, GUARD, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

SAID = "turn on the light"


def pair(base: str, candidate: str, said: str = SAID, speaker: str | None = None, name: str = "clip") -> Pair:
    clip = Clip(Path(f"{name}.wav"), said, "mine", speaker)
    if not said:
        return Pair(clip, said, base, candidate, 1, int(bool(base)), int(bool(candidate)))
    before, after = (word_errors(said, heard).total for heard in (base, candidate))
    return Pair(clip, said, base, candidate, len(said.split()), before, after)


def many(count: int, base: str, candidate: str, said: str = SAID, speaker: str | None = None) -> list[Pair]:
    return [pair(base, candidate, said, speaker, f"{number:03d}") for number in range(count)]


def target(pairs: Sequence[Pair]) -> HeardSet:
    return HeardSet(TARGET, TARGET, TARGET, tuple(pairs))


def guard(pairs: Sequence[Pair], name: str = "mine", kind: str = GENERAL) -> HeardSet:
    return HeardSet(name, GUARD, kind, tuple(pairs))


def costs(ratio: float = 1.0, memory: float = 1.0, faults: Sequence[str] = ()) -> Costs:
    return Costs(
        latency=Latency(
            base_step_ms=1,
            candidate_step_ms=ratio,
            base_ms_per_s=1,
            candidate_ms_per_s=ratio,
            ratio=ratio,
            limit=1.25,
            verdict="passed" if ratio <= 1.25 else "refused",
        ),
        memory=Memory(
            base_mb=1,
            candidate_mb=memory,
            ratio=memory,
            limit=1.25,
            verdict="passed" if memory <= 1.25 else "refused",
        ),
        parity=Parity(
            declared=0.0,
            declared_limit=0.001,
            int8_moved=0.0,
            int8_limit=0.05,
            faults=list(faults),
            verdict="refused" if faults else "passed",
        ),
    )
