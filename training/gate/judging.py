"""A candidate beside its base: heard, measured, judged.

report = judge(base, candidate, [target_set(clips), guard_set("earlier-kitchen", others)], Policy())

The kit of the base bundle is always among the guards: clean and noisy speech of voices that no training hears, and
silence and noise in which no word may be heard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stt_server.speech.bundle import MANIFEST, sha256
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer, RecognizerSettings
from training.gate.doubts import doubts
from training.gate.footprint import measure_memory
from training.gate.hearing import groups_within, hear_set, new_errors, pooled
from training.gate.labels import label_fit
from training.gate.parity import measure_parity
from training.gate.schema import BundleHash, Costs, Hashes, LabelFit, NewError, Report
from training.gate.sets import TARGET, digest, kit_sets, set_hash, thinned, without
from training.gate.speed import measure_latency
from training.gate.verdict import decide, guards_of, judge_set

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from training.gate.doubts import Doubt
    from training.gate.hearing import HeardSet, Pair
    from training.gate.schema import SetResult
    from training.gate.sets import GateSet
    from training.policy import Policy

Say = Callable[[str], None]
AS_SHIPPED = RecognizerSettings()


def judge(
    base: Path,
    candidate: Path,
    sets: Sequence[GateSet],
    policy: Policy,
    *,
    learned: Sequence[Clip] = (),
    settings: RecognizerSettings = AS_SHIPPED,
    say: Say = lambda sentence: None,
) -> Report:
    """Both are bundles' folders or zips, served with `settings`. Recordings that are among `learned` are left out.

    Raises BadBundle, NotFound, and the error of a recording that cannot be read.
    """
    ears = Recognizer.load(base, settings=settings), Recognizer.load(candidate, settings=settings)
    return judge_ears(*ears, sets, policy, learned, doubts(*ears, learned, policy.suspects), say)


def judge_ears(
    base: Recognizer,
    candidate: Recognizer,
    sets: Sequence[GateSet],
    policy: Policy,
    learned: Sequence[Clip],
    doubted: Sequence[Doubt],
    say: Say,
) -> Report:
    """The same, of recognisers that are loaded and with the `doubts` of what was learned."""
    known = {digest(clip) for clip in learned}
    brought = [thinned(without(each, known), policy.most) for each in (*sets, *kit_sets(base.bundle.folder))]
    heard = [part for each in brought for part in _heard(base, candidate, each, say)]
    heard = [*pooled(heard), *groups_within(heard, policy)]
    results = [judge_set(each, policy) for each in heard]
    labels = _fit([(pair.said, pair.candidate) for each in heard if each.role == TARGET for pair in each.pairs])
    learned_labels = _fit([(each.label, each.heard) for each in doubted if each.label])
    say("measuring latency, memory and parity")
    costs = _costs(base, candidate, brought, policy)
    hashes = _hashes(base, candidate, brought, policy)
    same = hashes.base.sha256 == hashes.candidate.sha256
    fits = {"the target": labels, "what was learned": learned_labels}
    verdict, reasons = decide(results, costs, fits, policy, same=same)
    return Report(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=verdict,
        reasons=reasons,
        sets=results,
        guards=guards_of(results),
        labels=labels,
        learned_labels=learned_labels,
        costs=costs,
        hashes=hashes,
        worst=[_new_error(name, pair) for name, pair in new_errors(heard, policy.worst)],
        clips_needed=_clips_needed(results) if verdict == "undecided" else None,
        policy=policy,
    )


def _heard(base: Recognizer, candidate: Recognizer, gate_set: GateSet, say: Say) -> list[HeardSet]:
    say(f"hearing {gate_set.name}: {len(gate_set.clips)} clips with both models")
    return hear_set(base, candidate, gate_set)


def _clips_needed(results: Sequence[SetResult]) -> int | None:
    return max((each.clips_needed for each in results if each.binding and each.clips_needed), default=None)


def _fit(pairs: Sequence[tuple[str, str]]) -> LabelFit | None:
    fit = label_fit(pairs)
    return None if fit is None else LabelFit(**asdict(fit))


def _costs(base: Recognizer, candidate: Recognizer, sets: Sequence[GateSet], policy: Policy) -> Costs:
    golden = read_audio(base.bundle.path(base.bundle.manifest.golden))
    recordings = [clip.path for each in sets if each.role == TARGET for clip in each.clips]
    return Costs(
        latency=measure_latency(base, candidate, golden, policy.costs),
        memory=measure_memory(base.bundle.folder, candidate.bundle.folder, policy.costs),
        parity=measure_parity(candidate.bundle, recordings, policy.costs),
    )


def _hashes(base: Recognizer, candidate: Recognizer, sets: Sequence[GateSet], policy: Policy) -> Hashes:
    return Hashes(
        base=_bundle_hash(base),
        candidate=_bundle_hash(candidate),
        sets={each.name: set_hash(each.clips) for each in sets},
        policy=hashlib.sha256(policy.model_dump_json().encode()).hexdigest(),
    )


def _bundle_hash(recognizer: Recognizer) -> BundleHash:
    return BundleHash(
        name=recognizer.name,
        version=recognizer.bundle.manifest.version,
        sha256=sha256(recognizer.bundle.folder / MANIFEST),
        decoder=recognizer.default_decoder,
    )


def _new_error(name: str, pair: Pair) -> NewError:
    return NewError(
        set=name,
        path=str(pair.clip.path),
        said=pair.said,
        base=pair.base,
        candidate=pair.candidate,
        base_errors=pair.base_errors,
        candidate_errors=pair.candidate_errors,
    )
