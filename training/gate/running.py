"""A whole gate: both bundles loaded once, judged, the labels that were learned from doubted, everything written.

In the folder lie `gate.json` for programs, `gate.html` for people and `suspects.csv` for the tagging queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.speech.recognizer import Recognizer
from training.gate.doubts import doubts, write_doubts
from training.gate.judging import AS_SHIPPED, Say, judge_ears
from training.gate.page import render

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.speech.recognizer import RecognizerSettings
    from training.gate.doubts import Doubt
    from training.gate.schema import Report
    from training.gate.sets import GateSet
    from training.policy import Policy

JSON, PAGE, SUSPECTS = "gate.json", "gate.html", "suspects.csv"


def run_gate(
    base: Path,
    candidate: Path,
    sets: Sequence[GateSet],
    policy: Policy,
    folder: Path,
    *,
    learned: Sequence[Clip] = (),
    settings: RecognizerSettings = AS_SHIPPED,
    say: Say = lambda sentence: None,
) -> Report:
    """Judge and write. `learned` are the clips that the candidate learned from. Raises what `judge` raises."""
    ears = Recognizer.load(base, settings=settings), Recognizer.load(candidate, settings=settings)
    if learned:
        say(f"looking for wrong labels among {len(learned)} clips that were learned from")
    doubted = doubts(*ears, learned, policy.suspects)
    report = judge_ears(*ears, sets, policy, learned, doubted, say)
    write(report, doubted, folder)
    return report


def write(report: Report, suspects: Sequence[Doubt], folder: Path) -> None:
    """The three files; gate.json last, so that where it lies the others do."""
    folder.mkdir(parents=True, exist_ok=True)
    write_doubts(folder / SUSPECTS, suspects)
    (folder / PAGE).write_text(render(report, suspects), encoding="utf-8", errors="backslashreplace")
    part = folder / f".{JSON}.part"
    part.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8", errors="backslashreplace")
    part.replace(folder / JSON)
