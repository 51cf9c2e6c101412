"""What both models are heard on: the target, guard sets by name, and the evaluation kit that every bundle brings.

A guard's name says its kind: `earlier-kitchen`, `noise-car`, `commands`, `silence`, `speaker-anna`; any other is of
general speech. Clips of a list that are marked as learned from (split train or dev) are not measured on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from stt_server.errors import BadOption, NotFound
from stt_server.speech.bundle import sha256
from training.evaluate import QUIET, kit_clips
from training.policy import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip

Role = Literal["target", "guard"]
TARGET: Role = "target"
GUARD: Role = "guard"
GENERAL, NOISE, SILENCE, COMMANDS, SPEAKER = "general", "noise", "silence", "commands", "speaker"
KIT_KINDS = {"kit-clean": GENERAL, "kit-noisy": NOISE, QUIET: SILENCE}
LEARNED_FROM = ("train", "dev")


@dataclass(frozen=True, slots=True)
class GateSet:
    """Clips under one name. `kind` is one of `training.policy.KINDS`, or `target` for the target."""

    name: str
    role: Role
    kind: str
    clips: tuple[Clip, ...]


def target_set(clips: Iterable[Clip]) -> GateSet:
    """What the candidate was trained to hear better."""
    return GateSet(TARGET, TARGET, TARGET, _measured_on(clips))


def guard_set(name: str, clips: Iterable[Clip]) -> GateSet:
    """What may not become worse; its name says the kind. Raises BadOption for a name that is taken."""
    if name in (TARGET, *KIT_KINDS):
        raise BadOption(
            f"{name!r} is the name of the target or of the kit; call the guard set otherwise", field="guard"
        )
    return GateSet(name, GUARD, kind_of(name), _measured_on(clips))


def kind_of(name: str) -> str:
    """`noise-car` is noise; what begins with no kind is general speech."""
    begins = name.lower().replace("_", "-").split("-")[0]
    return begins if begins in KINDS else GENERAL


def kit_sets(bundle: Path) -> list[GateSet]:
    """A guard set of each source of the bundle's kit; [] where it has none."""
    clips = kit_clips(bundle)
    sources = dict.fromkeys(clip.source for clip in clips)
    return [
        GateSet(source, GUARD, KIT_KINDS.get(source, GENERAL), tuple(clip for clip in clips if clip.source == source))
        for source in sources
    ]


def learned_clips(*lists: Iterable[Clip]) -> list[Clip]:
    """The clips of split train in lists that were given for measuring, such as a snapshot's one list."""
    return [clip for clips in lists for clip in clips if clip.split == "train"]


def thinned(gate_set: GateSet, most: int | None) -> GateSet:
    """At most so many of its clips, spread over it."""
    if most is None or len(gate_set.clips) <= most:
        return gate_set
    every = -(-len(gate_set.clips) // most)
    return replace(gate_set, clips=gate_set.clips[::every])


def without(gate_set: GateSet, digests: set[str]) -> GateSet:
    """Without recordings whose bytes have one of these hashes: what was learned from proves nothing."""
    kept = tuple(clip for clip in gate_set.clips if not digests or digest(clip) not in digests)
    return replace(gate_set, clips=kept)


def digest(clip: Clip) -> str:
    """The SHA-256 of a recording. Raises NotFound."""
    try:
        return sha256(clip.path)
    except OSError as error:
        raise NotFound(f"{clip.path} cannot be read: {error.strerror}; list only recordings that are there") from error


def set_hash(clips: Sequence[Clip]) -> str:
    """Of recordings and their texts, in any order and folder."""
    lines = sorted(f"{digest(clip)}\t{clip.text}" for clip in clips)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def _measured_on(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    return tuple(clip for clip in clips if clip.split not in LEARNED_FROM)
