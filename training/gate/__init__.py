"""May a new model replace the live one? Shown, not hoped: README.md has the rules.

report = judge(base, candidate, [target_set(clips), guard_set("earlier-kitchen", others)], Policy())
report.verdict, report.reasons, report.sets
"""

from training.gate.judging import judge
from training.gate.running import run_gate, write
from training.gate.schema import Report, SetResult
from training.gate.sets import GateSet, guard_set, learned_clips, target_set
from training.policy import Policy

__all__ = [
    "GateSet",
    "Policy",
    "Report",
    "SetResult",
    "guard_set",
    "judge",
    "learned_clips",
    "run_gate",
    "target_set",
    "write",
]
