"""The rules: what each set says, and what all of them say together.

A target passes when it surely gains (lower bound above zero), and is refused when even the upper bound is below what a
change is worth. A guard passes when it surely loses no more than its tolerance, and is refused when it surely became
worse (bound above zero) and lost more than its tolerance in what was measured.
Everything between is undecided. One refusal refuses; one thing undecided, or no guard set of speech: nothing passes.
Of guards of one kind, all together must surely hold; each of them must not be surely broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.gate.bootstrap import clips_needed, compare
from training.gate.schema import Costs, Guards, LabelFit, SetResult, Verdict
from training.gate.sets import GUARD, SILENCE, TARGET
from training.policy import KINDS
from training.report.page import points

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from training.gate.bootstrap import Change
    from training.gate.hearing import HeardSet, Pair
    from training.policy import Policy

SMALLEST_DISTANCE = 0.001  # of a rate; nearer to a limit, no number of clips is worth naming


def judge_set(heard: HeardSet, policy: Policy) -> SetResult:
    """One set, or one group within."""
    tolerance = policy.worth if heard.role == TARGET else float(getattr(policy.tolerances, heard.kind))
    if not heard.pairs:
        return _empty(heard, tolerance, policy)
    groups = _speakers(heard.pairs, policy)
    change = compare(
        [pair.base_errors for pair in heard.pairs],
        [pair.candidate_errors for pair in heard.pairs],
        [pair.words for pair in heard.pairs],
        groups=groups,
        resamples=policy.resamples,
    )
    clips = len(heard.pairs)
    verdict, distance = _target(change, tolerance) if heard.role == TARGET else _guard(change, tolerance)
    needed = clips_needed(change, clips, max(distance, SMALLEST_DISTANCE)) if verdict == "undecided" else None
    if clips < policy.fewest and verdict != "refused":
        verdict, needed = "undecided", max(policy.fewest, needed or 0)
    return SetResult(
        name=heard.name,
        role=heard.role,
        kind=heard.kind,
        given=heard.given,
        binding=heard.binding,
        utterances=clips,
        words=sum(pair.words for pair in heard.pairs),
        base_wer=change.base,
        candidate_wer=change.candidate,
        delta=change.delta,
        low=change.low,
        high=change.high,
        drawn=change.drawn,
        by="utterance" if groups is None else "speaker",
        tolerance=tolerance,
        verdict=verdict,
        reason=_sentence(heard, change, tolerance, verdict, needed),
        clips_needed=needed,
    )


def guards_of(results: Sequence[SetResult]) -> Guards:
    """Which kinds there were, and which not."""
    there: dict[str, list[str]] = {}
    for each in results:
        if each.role == GUARD and each.utterances:
            there.setdefault(each.kind, []).append(each.name)
    return Guards(there=there, missing=[kind for kind in KINDS if kind not in there])


def decide(
    results: Sequence[SetResult], costs: Costs, fits: Mapping[str, LabelFit | None], policy: Policy, *, same: bool
) -> tuple[Verdict, list[str]]:
    """The verdict and its reasons, the deciding ones first.

    `fits`: how the labels fit, by whose they are; None where that cannot be told. `same`: both are one bundle.
    """
    refusals = _refusals(costs, fits, same=same)
    refusals += [each.reason for each in results if each.verdict == "refused"]
    doubts = [*_missing(results, policy), *(each.reason for each in results if _doubtful(each))]
    rest = [each.reason for each in results if each.verdict != "refused" and not _doubtful(each)]
    verdict: Verdict = "refused" if refusals else "undecided" if doubts else "passed"
    return verdict, [*refusals, *doubts, *rest]


def _doubtful(result: SetResult) -> bool:
    return result.verdict == "undecided" and result.binding


def _target(change: Change, worth: float) -> tuple[Verdict, float]:
    """The verdict, and how narrow half of the interval must become for one: either limit will do."""
    if change.low > 0:
        return "passed", 0.0
    if change.high < worth or change.high <= 0:
        return "refused", 0.0
    return "undecided", max(change.delta, worth - change.delta)


def _guard(change: Change, tolerance: float) -> tuple[Verdict, float]:
    if -change.low <= tolerance:
        return "passed", 0.0
    if change.high < 0 and -change.delta > tolerance:
        return "refused", 0.0
    return "undecided", abs(tolerance + change.delta)


def _empty(heard: HeardSet, tolerance: float, policy: Policy) -> SetResult:
    return SetResult(
        name=heard.name,
        role=heard.role,
        kind=heard.kind,
        given=heard.given,
        binding=heard.binding,
        utterances=0,
        words=0,
        base_wer=None,
        candidate_wer=None,
        delta=None,
        low=None,
        high=None,
        drawn=0,
        by="utterance",
        tolerance=tolerance,
        verdict="undecided",
        reason=f"{heard.name} has no clip to judge by; at least {policy.fewest} are needed",
        clips_needed=policy.fewest,
    )


def _speakers(pairs: Sequence[Pair], policy: Policy) -> list[str] | None:
    """What is drawn whole; None for single utterances. A clip without a speaker is one of its own."""
    names = {pair.clip.speaker for pair in pairs if pair.clip.speaker}
    all_named = all(pair.clip.speaker for pair in pairs)
    wanted = policy.by == "speaker" and len(names) > 1
    if not (wanted or (policy.by == "auto" and all_named and len(names) >= policy.fewest_speakers)):
        return None
    return [pair.clip.speaker or f"\0{number}" for number, pair in enumerate(pairs)]


def _refusals(costs: Costs, fits: Mapping[str, LabelFit | None], *, same: bool) -> list[str]:
    """What forbids a promotion beside the sets."""
    found = ["candidate and base are the same bundle"] if same else []
    found += [
        f"the labels of {whose} do not belong to their recordings, or the candidate is deaf to them: what it hears "
        f"differs from the own label in {fit.own:.0%} of the words, from another one in {fit.other:.0%}"
        for whose, fit in fits.items()
        if fit is not None and not fit.fits
    ]
    latency, memory = costs.latency, costs.memory
    if latency.verdict == "refused":
        found.append(f"it takes {latency.ratio:.2f} times the base's processor time; {latency.limit:g} is let pass")
    if memory.verdict == "refused":
        found.append(f"it takes {memory.ratio:.2f} times the base's memory; {memory.limit:g} is let pass")
    return [*found, *costs.parity.faults]


def _missing(results: Sequence[SetResult], policy: Policy) -> list[str]:
    """What must be there and is not."""
    found = []
    guards = [each for each in results if each.role == GUARD and each.given and each.utterances]
    if all(each.role != TARGET for each in results):
        found.append("there is no target set: nothing says what became better")
    if not any(each.kind != SILENCE for each in guards):
        found.append("there is no guard set of speech: nothing says what became worse")
    lacking = [kind for kind in policy.required if kind not in {each.kind for each in results if each.utterances}]
    if lacking:
        found.append(f"the policy requires guard sets that are missing: {', '.join(lacking)}")
    return found


def _sentence(heard: HeardSet, change: Change, tolerance: float, verdict: Verdict, needed: int | None) -> str:
    rate = "words on silence" if heard.kind == SILENCE else "WER"
    moved = (
        f"{heard.name}: {rate} {100 * change.base:.1f} % → {100 * change.candidate:.1f} %, a change of "
        f"{points(-change.delta)} points (95 %: {points(-change.high)} to {points(-change.low)})"
    )
    limit = f"{100 * tolerance:g} points"
    if verdict == "undecided":
        told = f"too little data to tell; about {needed:,} clips like these {len(heard.pairs):,} would"
    elif heard.role == TARGET:
        told = "it surely falls" if verdict == "passed" else f"it surely does not fall by the {limit} that are worth it"
    elif verdict == "refused":
        told = f"it surely rises, and by more than the {limit} that are let pass"
    else:
        told = f"it surely rises by no more than {limit}"
    return f"{moved}: {told}"
