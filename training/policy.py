"""What a new model must show before it may replace the live one: the section `gate` of a recipe, or a file of its own.

All rates are fractions: a tolerance of 0.04 lets a word error rate rise by four points. They are as wide as the kit
that comes with the shipped bundle can tell apart; who has more guard data declares narrower ones.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from training.section import Section, Share

Kind = Literal["general", "earlier", "speaker", "noise", "commands", "silence"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Ratio = Annotated[float, Field(ge=1)]


class Tolerances(Section):
    """By how much a guard set of each kind may become worse, with the upper bound of the rise of its rate."""

    general: Share = Field(0.04, description="rise of the word error rate of general speech that is let pass")
    earlier: Share = Field(0.04, description="of what earlier models were taught")
    speaker: Share = Field(0.15, description="of one speaker in the guards or the target; there are few clips of each")
    noise: Share = Field(0.06, description="of speech in noise")
    commands: Share = Field(0.15, description="of utterances of few words; the kit has few of them")
    silence: Share = Field(0.2, description="rise of the share of clips without speech in which a word is heard")


class Costs(Section):
    """What the candidate may cost beside the base, measured on the same machine in the same minutes."""

    latency: Ratio = Field(
        1.25, description="processor time of a step and of a second of audio, as a multiple of the base's"
    )
    memory: Ratio = Field(1.25, description="peak memory of a process that has loaded and warmed it, the same way")
    parity: Share = Field(0.001, description="most that the exported graph may differ from the trained model, in nats")
    int8: Share = Field(0.05, description="most of the probability that int8 may give to other labels than fp32 does")


class Policy(Section):
    """Declared before anything is measured, and kept with the report."""

    resamples: int = Field(2000, ge=200, description="draws of the paired bootstrap; its intervals are 95 %")
    by: Literal["auto", "speaker", "utterance"] = Field(
        "auto", description="what is drawn; `auto` draws whole speakers where `fewest_speakers` are named"
    )
    fewest_speakers: int = Field(10, ge=2, description="below so many, drawing speakers says too little")
    fewest: int = Field(10, ge=2, description="clips of a set; with fewer nothing is decided")
    worth: Share = Field(0.005, description="smallest fall of the target's word error rate that a change is worth")
    tolerances: Tolerances = Tolerances()
    required: tuple[Kind, ...] = Field((), description="kinds of guard sets without which nothing passes")
    short_words: int = Field(3, ge=1, description="utterances of guards with so many words are short commands")
    speaker_words: int = Field(100, ge=1, description="said by one speaker; who said fewer is not judged alone")
    costs: Costs = Costs()
    most: int | None = Field(None, ge=1, description="clips heard of each set, spread over it; all of them by default")
    suspects: int = Field(2000, ge=0, description="clips that were learned from and are searched for wrong labels")
    worst: int = Field(20, ge=0, description="new errors shown, the worst first")
    audio_mb: float = Field(8.0, ge=0, description="most audio in the page")
