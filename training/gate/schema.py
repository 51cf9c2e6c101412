"""gate.json, key by key. `schema_version` grows when a key changes its meaning or goes; new keys may come.

Rates are fractions. `delta` is what the candidate gains, base less candidate, so a gain is above zero in every set; a
target must have `low` above zero, a guard must have `low` above minus its tolerance.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from training.gate.sets import Role  # noqa: TC001  (pydantic reads the annotations)
from training.policy import Policy  # noqa: TC001  (the same)
from training.report.schema import Of, Part

Verdict = Literal["passed", "refused", "undecided"]


class SetResult(Part):
    name: str = Field(description="of the set, or of a group within one")
    role: Role = Field(description="target or guard")
    kind: str = Field(description="target, general, earlier, speaker, noise, commands or silence")
    given: bool = Field(description="false for a group within other sets")
    binding: bool = Field(description="false where it counts with others of its kind: must only not be surely worse")
    utterances: Of = Field(description="heard by both models")
    words: Of = Field(description="said in them; of a set without speech its clips")
    base_wer: float | None = Field(description="the base's word error rate; without speech: share of clips with a word")
    candidate_wer: float | None = Field(description="the candidate's")
    delta: float | None = Field(description="base less candidate: a gain is above zero")
    low: float | None = Field(description="where the 95 % interval of `delta` begins, by the paired bootstrap")
    high: float | None = Field(description="and where it ends")
    drawn: Of = Field(description="units that were drawn for it")
    by: Literal["speaker", "utterance"] = Field(description="what was drawn")
    tolerance: float = Field(
        description="of a guard the rise that is let pass; of the target the fall that is worth it"
    )
    verdict: Verdict = Field(description="on this set alone")
    reason: str = Field(description="one sentence")
    clips_needed: int | None = Field(description="where undecided: about how many clips like these would tell")


class Latency(Part):
    base_step_ms: float = Field(description="least processor time of a step of one stream")
    candidate_step_ms: float = Field(description="the candidate's")
    base_ms_per_s: float = Field(description="least processor time for a second of audio, decoding included")
    candidate_ms_per_s: float = Field(description="the candidate's")
    ratio: float = Field(description="candidate by base, the worse of the two")
    limit: float = Field(description="what the policy lets pass")
    verdict: Verdict = Field(description="passed or refused")


class Memory(Part):
    base_mb: float = Field(description="peak of a process that loads and warms it, less what it had before; 1e6 bytes")
    candidate_mb: float = Field(description="the candidate's")
    ratio: float = Field(description="candidate by base")
    limit: float = Field(description="what the policy lets pass")
    verdict: Verdict = Field(description="passed or refused")


class Parity(Part):
    declared: float | None = Field(
        description="difference of graph and trained model in nats, as the exporter measured it"
    )
    declared_limit: float = Field(description="what the policy lets pass")
    int8_moved: float | None = Field(
        description="share of the probability that int8 gives to other labels, measured here"
    )
    int8_limit: float = Field(description="what the policy lets pass")
    faults: list[str] = Field(description="what is wrong, the golden clip included; empty where nothing is")
    verdict: Verdict = Field(description="passed or refused")


class Costs(Part):
    latency: Latency = Field(description="processor time beside the base's")
    memory: Memory = Field(description="beside the base's")
    parity: Parity = Field(description="of the candidate's graphs with what was trained")


class BundleHash(Part):
    name: str = Field(description="of the model")
    version: str = Field(description="of the model")
    sha256: str = Field(description="of its manifest, which holds those of all its files")
    decoder: str = Field(description="that it is served with")


class Hashes(Part):
    base: BundleHash = Field(description="what is live")
    candidate: BundleHash = Field(description="what may replace it")
    sets: dict[str, str] = Field(description="set → SHA-256 over its recordings and texts")
    policy: str = Field(description="SHA-256 of the policy as JSON")


class NewError(Part):
    set: str = Field(description="in which it was heard")
    path: str = Field(description="of the recording")
    said: str = Field(description="in it")
    base: str = Field(description="what the base heard")
    candidate: str = Field(description="what the candidate heard")
    base_errors: Of = Field(description="words that the base had wrong")
    candidate_errors: Of = Field(description="words that the candidate has wrong")


class LabelFit(Part):
    own: float = Field(description="mean share of wrong words against the recording's own label")
    other: float = Field(description="against another one of the set")
    fits: bool = Field(description="whether the own one is surely nearer")


class Guards(Part):
    there: dict[str, list[str]] = Field(description="kind → names of the guard sets and groups of it")
    missing: list[str] = Field(description="kinds of which there is none")


class Report(Part):
    schema_version: Literal[1] = Field(1, description="of this file")
    made_at: str = Field(description="UTC, ISO 8601")
    verdict: Verdict = Field(description="passed: it may replace the base; undecided: too little data to tell")
    reasons: list[str] = Field(description="sentences, the deciding ones first")
    sets: list[SetResult] = Field(description="target, guards, groups within them")
    guards: Guards = Field(description="which guard sets were there and which were missing")
    labels: LabelFit | None = Field(
        description="whether the target's labels belong to it; null where that cannot be told"
    )
    learned_labels: LabelFit | None = Field(description="the same of what the candidate learned from")
    costs: Costs = Field(description="latency, memory, parity")
    hashes: Hashes = Field(description="of what was judged")
    worst: list[NewError] = Field(description="new errors of the candidate, the worst first")
    clips_needed: int | None = Field(
        description="where undecided for want of data: about so many clips of the largest need"
    )
    policy: Policy = Field(description="by which it was judged")
