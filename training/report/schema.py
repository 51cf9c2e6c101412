"""report.json: what is in it, key by key. `format` grows when a key changes its meaning or goes; new keys may come.

Rates are fractions, never clamped: a word error rate above 1 says that more was heard than said. What could not be
measured is null.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Of = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Part):
    value: float = Field(description="the rate, as a fraction")
    low: float = Field(description="where its 95 % bootstrap interval over utterances begins")
    high: float = Field(description="and where it ends")


class Rates(Part):
    utterances: Of = Field(description="in which something is said")
    words: Of = Field(description="that are said in them")
    wer: Interval = Field(description="word error rate")
    cer: Interval = Field(description="character error rate")
    exact: Interval = Field(description="share of utterances without a wrong word")
    sentence_error: Interval = Field(description="share of utterances with one, 1 - exact")


class Test(Part):
    greedy: Rates | None = Field(None, description="without the language model")
    lm: Rates | None = Field(None, description="with it")


class Measured(Test):
    measured_on: str = Field(description="`test` for the test clips, `kit` where there are none, else `nothing`")


class Source(Test):
    name: str = Field(description="of the corpus")


class Group(Test):
    by: str = Field(description="speaker, speakers, sentences, duration, words or noise")
    name: str = Field(description="of the group")


class Effect(Part):
    """What the language model does to utterances; None where there is none."""

    repaired: Of = Field(description="utterances that only greedy had wrong")
    broken: Of = Field(description="utterances that only the language model has wrong")
    wer_change: Interval = Field(description="word error rate with it less that without it, paired by utterance")


class Confusion(Part):
    said: str = Field(description="word; empty where one was inserted")
    heard: str = Field(description="word; empty where one was left out")
    count: Of = Field(description="times")


class FalseAccepts(Part):
    decoder: str = Field(description="greedy or lm")
    material: str = Field(description="what was listened to")
    clips: Of = Field(description="without a spoken word")
    with_words: Of = Field(description="of them in which a word was heard")
    words: Of = Field(description="words heard in them")
    hours: float = Field(description="that they last together")
    words_per_hour: float | None = Field(description="words by hours")


class Clips(Part):
    clips: Of = Field(description="of the part")
    hours: float = Field(description="of the part")


class Found(Part):
    severity: str = Field(description="error: left out; warning: worth a look; notice: only said")
    kind: str = Field(description="what was found")
    clips: Of = Field(description="in how many clips")
    example: str = Field(description="the first one's sentence, with the remedy")


class Data(Part):
    hash: str = Field(description="of the clips and their texts; another one, other data")
    train: Clips = Field(description="learned from")
    dev: Clips = Field(description="validated on")
    test: Clips = Field(description="tested on")
    holds_for: str = Field(description="for whom a result on the test holds")
    findings: list[Found] = Field(description="of the pre-flight, one a kind")


class Machine(Part):
    system: str = Field(description="operating system")
    processor: str = Field(description="as the system calls it")
    cores: Of = Field(description="that this process may use")
    gpu: str = Field(description="the first one's name; empty where torch sees none")
    python: str = Field(description="version")
    packages: dict[str, str] = Field(description="versions of the packages that compute")


class Code(Part):
    commit: str = Field(description="that trained the model, as its bundle says; `-dirty` where files differed")
    package: str = Field(description="version of earloop that measured it")


class Durations(Part):
    training_minutes: float | None = Field(description="of learning, without validation and export")
    steps: int | None = Field(description="of the optimizer")
    epochs: int | None = Field(description="times the data were gone through")
    test_hours: float = Field(description="of audio that was heard for this report")


class Step(Part):
    precision: str = Field(description="fp32 or int8")
    audio_ms: float = Field(description="of audio in a step")
    median_ms: float = Field(description="that a step of one stream takes on this machine")
    p95_ms: float = Field(description="that 95 of 100 steps stay below")


class Size(Part):
    parameters: Of = Field(description="numbers in the model")
    files: dict[str, int] = Field(description="bytes of each graph and of the language model")
    bundle_bytes: Of = Field(description="of all files of the bundle")
    steps: list[Step] = Field(description="latency of a step, for each precision")


class Point(Part):
    step: Of = Field(description="of the optimizer")
    value: float = Field(description="loss per letter, or word error rate")


class Curves(Part):
    loss: list[Point] = Field(description="mean over about fifty steps")
    wer: dict[str, list[Point]] = Field(description="greedy, of each development set")


class Suspect(Part):
    """A label that may be wrong: the model is sure of another text."""

    path: str = Field(description="of the clip")
    split: str = Field(description="train, dev or test")
    text: str = Field(description="its label")
    heard: str = Field(description="what the model hears")
    loss: float | None = Field(description="CTC loss per letter of the label; null where only the bundle was at hand")
    confidence: float = Field(description="of the model in what it hears, 0 to 1")
    reason: str = Field(description="one sentence")


class Advice(Part):
    kind: str = Field(description="word, sentence, letters, speaker or condition")
    name: str = Field(description="which")
    errors: Of = Field(description="errors in the test")
    chances: Of = Field(description="words (or, of a sentence, utterances) in the test that could be wrong")
    learned_from: int | None = Field(description="training clips that have it; null where that is not known")
    sentence: str = Field(description="what to record")


class LearningPoint(Part):
    share: float = Field(gt=0, description="of the new data, 0 to 1")
    clips: Of = Field(description="of the new data")
    wer: Interval = Field(description="on the test")


class Learning(Part):
    points: list[LearningPoint] = Field(description="smallest share first")
    sentence: str = Field(description="what as much data again is likely to bring")


class Report(Part):
    format: Literal[1] = Field(1, description="of this file")
    name: str = Field(description="of the recipe or the model")
    made_at: str = Field(description="UTC, ISO 8601")
    state: str = Field(
        description="`finished`, `stopped early`, `interrupted` or, of a bundle without its run, `measured`"
    )
    test: Measured = Field(description="all test clips together")
    sources: list[Source] = Field(description="each source of test and kit")
    groups: list[Group] = Field(description="the test clips by speaker, duration, …")
    lm_effect: Effect | None = Field(description="greedy against language model")
    confusions: list[Confusion] = Field(description="the most frequent first")
    false_accepts: list[FalseAccepts] = Field(description="words heard where none is spoken")
    data: Data = Field(description="what it learned from and was measured on")
    curves: Curves = Field(description="as in log.jsonl")
    suspects: list[Suspect] = Field(description="the most suspect first; all are in suspects.csv")
    record_next: list[Advice] = Field(description="where errors are many and data few")
    learning: Learning | None = Field(description="where the run was repeated on shares of its data")
    model: Size = Field(description="size and speed")
    durations: Durations = Field(description="of the run")
    code: Code = Field(description="lineage")
    machine: Machine = Field(description="that made the report")
