"""Utterances for the report's tests, without any audio: what was said, what each decoder made of it."""

from __future__ import annotations

from pathlib import Path

from stt_server.corpus.clip import Clip
from stt_server.corpus.evaluation import Evaluation, Heard

DECODERS = ("greedy", "reference")


def clip(name: str, text: str, source: str = "mine", speaker: str | None = None, seconds: float = 1.0) -> Clip:
    return Clip(Path(f"{name}.wav"), text, source, speaker, seconds, "test")


def heard(said: Clip, text: str, confidence: float = 0.9) -> Heard:
    return Heard(said, said.text, text, confidence if text else 0.0, said.duration_s or 0.0)


def evaluations(*triples: tuple[Clip, str, str]) -> list[Evaluation]:
    """Of (clip, heard greedily, heard with the language model)."""
    greedy = Evaluation("greedy", tuple(heard(said, text) for said, text, _ in triples), {})
    return [greedy, Evaluation("reference", tuple(heard(said, text) for said, _, text in triples), {})]
