"""`earloop bench decoder`: our decoders and others' on the same posteriors, in one run, on one core.

An engine's alpha and beta are tuned on utterances that are not measured afterwards: made-up ones of middling noise, and
for the kit some of its clips. CPU time is the thread's own, so that neighbours on the machine disturb it less than the
clock on the wall, and of several runs each utterance's best counts; of a slow engine there is but one. Steps are timed
in every second run: reading the clock takes a tenth as long as a short step.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stt_server.commands.bench.machine import Machine, this_machine
from stt_server.commands.bench.posteriors import LEVELS, Inputs, glue, listen, make_up
from stt_server.commands.bench.searches import (
    STEP_S,
    Ground,
    InSteps,
    Pyctcdecode,
    Tuning,
    engines,
    plain_arpa,
)
from stt_server.commands.bench.wishes import measure_wishes
from stt_server.errors import BadInput, NotFound
from stt_server.speech.text import normalize
from stt_server.speech.wer import Errors, word_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from stt_server.commands.bench.script import Speech
    from stt_server.commands.bench.searches import Engine, Heard
    from stt_server.commands.bench.wishes import Wished
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.recognizer import Recognizer

ALPHAS = (0.4, 0.6, 0.8, 1.0)
BETAS = (0.0, 1.5, 3.0, 4.5)
FRAMES_PER_S = (50, 25)
RUNS = 4
SLOW_S = 4.0  # of CPU: neighbours disturb a run that takes longer by a smaller share


@dataclass(frozen=True, slots=True)
class Plan:
    """`utterances` of 10 s for each level of noise, and about `clips` of the kit and of a corpus; others of all are for
    tuning. `text` holds sentences.
    """

    utterances: int = 24
    tuning: int = 12
    beam: int = 100
    clips: int = 100
    clips_tuning: int = 50
    text: Path | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An engine on some inputs. `step_ms` are p50 and p99 of a step of 100 ms, where it works in steps."""

    inputs: str
    engine: str
    alpha: float
    beta: float
    cpu_ms_per_audio_s: float
    word_error_rate: float
    step_ms: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Given:
    """Inputs as the report names them."""

    name: str
    utterances: int
    seconds: float
    candidates: float


@dataclass(frozen=True, slots=True)
class Contest:
    machine: Machine
    model: str
    lm: str
    beam: int
    missing: list[str]
    given: list[Given]
    rows: list[Row]
    wished: list[Wished]


def run_contest(
    plan: Plan, recognizer: Recognizer, spoken: Mapping[str, Sequence[Speech]], lm: Path, tell: Callable[[str], None]
) -> Contest:
    """Measure every engine that is installed on every input; `spoken` is speech by its name, whose texts are those
    of what is made up as well, unless the plan has one.

    Raises NotFound and BadInput, and Unsupported where our own was not built.
    """
    machine, alphabet = this_machine(), recognizer.bundle.manifest.alphabet
    texts = glue(_sentences(plan, alphabet, [each for speech in spoken.values() for each in speech]))
    if len(texts) < plan.tuning + 1:
        raise BadInput(f"The text makes {len(texts)} utterances of 10 s; give --text with more sentences.")
    heard, tuned_on = texts[plan.tuning :][: plan.utterances], texts[: plan.tuning]
    made_up = [make_up(heard, alphabet, noise, rate) for rate, noise in product(FRAMES_PER_S, LEVELS)]
    listened = [_listen(plan, recognizer, name, speech) for name, speech in spoken.items()]
    with tempfile.TemporaryDirectory(prefix="earloop-bench-") as folder:
        ground = Ground(alphabet, plain_arpa(lm, Path(folder)), plan.beam)
        found, missing = engines(ground)
        tuning = {each.name: _tune(each, make_up(tuned_on, alphabet, LEVELS[1], 50, seed=2), tell) for each in found}
        rows = [_measure(engine, each, tuning[engine.name], tell) for each in made_up for engine in found]
        rows += [_measure(each, heard, _tune(each, before, tell), tell) for heard, before in listened for each in found]
        for stepwise in (InSteps(engine) for engine in found if isinstance(engine, Pyctcdecode)):
            rows.append(_measure(stepwise, made_up[0], tuning[stepwise.whole.name], tell))
        wished = measure_wishes(ground, made_up[: len(LEVELS)], tuning["native"], tell)
    given = [_given(each) for each in [*made_up, *(heard for heard, _ in listened)]]
    return Contest(machine, recognizer.version, lm.name, plan.beam, missing, given, rows, wished)


def _listen(plan: Plan, recognizer: Recognizer, name: str, speech: Sequence[Speech]) -> tuple[Inputs, Inputs]:
    """What the model says of some clips, and of others to tune on."""
    every = max(2, len(speech) // plan.clips)
    name = f"{recognizer.name} {name}"
    others = speech[1::every]
    others = others[:: max(1, len(others) // plan.clips_tuning)]  # of all its parts, which stand one behind the other
    return listen(recognizer, speech[::every], name), listen(recognizer, others, name)


def _given(inputs: Inputs) -> Given:
    return Given(inputs.name, len(inputs.utterances), round(inputs.seconds, 1), round(inputs.candidates, 2))


def _sentences(plan: Plan, alphabet: Alphabet, speech: Sequence[Speech]) -> list[str]:
    """Of a file, a line each, or of the kit; those that the alphabet can spell, each once, shuffled."""
    if plan.text is None:
        lines = [each.text for each in speech]
    elif plan.text.is_file():
        lines = plan.text.read_text(encoding="utf-8").splitlines()
    else:
        raise NotFound(f"There is no file {plan.text}.")
    spoken = (normalize(line, drop_unspellable=True) for line in lines)
    known = [line for line in dict.fromkeys(spoken) if line and {*line} <= {*alphabet.letters}]
    return [known[i] for i in np.random.default_rng(3).permutation(len(known))]


def _tune(engine: Engine, inputs: Inputs, tell: Callable[[str], None]) -> Tuning:
    if not engine.tunable:
        return Tuning(0.0, 0.0)
    rates = {}
    for tuning in (Tuning(alpha, beta) for alpha, beta in product(ALPHAS, BETAS)):
        engine.tune(tuning)
        rates[tuning] = _error_rate(inputs, _hear(engine, inputs))
    best = min(rates, key=lambda tuning: rates[tuning])
    tell(f"{engine.name}: alpha {best.alpha:g}, beta {best.beta:g}")
    return best


def _hear(engine: Engine, inputs: Inputs, *, timed: bool = False) -> list[Heard]:
    step = max(1, round(STEP_S * inputs.frames_per_s))
    return [engine.hear(each.logprobs, step, timed=timed) for each in inputs.utterances]


def _error_rate(inputs: Inputs, heard: list[Heard]) -> float:
    pairs = zip(inputs.utterances, heard, strict=True)
    return sum((word_errors(said.text, each.text) for said, each in pairs), Errors()).rate


def _measure(engine: Engine, inputs: Inputs, tuning: Tuning, tell: Callable[[str], None]) -> Row:
    engine.tune(tuning)
    engine.hear(inputs.utterances[0].logprobs, 5)  # what is allocated once is allocated now
    runs = [_hear(engine, inputs, timed=True)]
    while len(runs) < RUNS and sum(each.cpu_s for each in runs[0]) < SLOW_S:
        runs.append(_hear(engine, inputs, timed=len(runs) % 2 == 0))
    # A neighbour makes an utterance or a step seem long in one run; it is as long in all where it is the engine's own.
    cpu_s = np.min([[each.cpu_s for each in run] for run in runs], 0).sum()
    timed = [steps for run in runs if (steps := [step for each in run for step in each.steps_s])]
    row = Row(
        inputs.name,
        engine.name,
        tuning.alpha,
        tuning.beta,
        round(1e3 * float(cpu_s) / inputs.seconds, 4),
        round(_error_rate(inputs, runs[0]), 4),
        _milliseconds(np.min(timed, 0)) if timed else None,
    )
    tell(f"{row.inputs}: {row.engine} {row.cpu_ms_per_audio_s:g} ms a second, {100 * row.word_error_rate:.1f} %")
    return row


def _milliseconds(seconds: NDArray[np.float64]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    p50, p99 = (round(1e3 * float(np.percentile(seconds, percent)), 3) for percent in (50, 99))
    return p50, p99


def table(contest: Contest) -> list[str]:
    """The report, line by line."""
    machine = contest.machine
    lines = [
        f"machine   {machine.cpu}, {machine.cores} cores, load {machine.load}, one thread",
        f"model     {contest.model}, language model {contest.lm}, beam {contest.beam}",
        *(f"missing   {reason}" for reason in contest.missing),
    ]
    for given in contest.given:
        size = f"{given.utterances} utterances, {given.seconds:g} s, {given.candidates:g} candidates a frame"
        lines += ["", f"{given.name}: {size}", _HEAD]
        rows = [row for row in contest.rows if row.inputs == given.name]
        slow = next((row for row in rows if row.engine.startswith("pyctcdecode")), None)
        lines += [_line(row, slow) for row in rows]
    lines += ["", *(_wish_line(wished) for wished in contest.wished)]
    return lines


_COLUMNS = (("", -24), ("ms a second", 12), ("× pyctcdecode", 15), ("WER %", 8), ("step p50", 10), ("p99 ms", 8))
_HEAD = "  " + "".join(f"{name:{'<' if width < 0 else '>'}{abs(width)}}" for name, width in _COLUMNS) + "  alpha  beta"


def _line(row: Row, slow: Row | None) -> str:
    ratio = f"1/{slow.cpu_ms_per_audio_s / row.cpu_ms_per_audio_s:.1f}" if slow and row.cpu_ms_per_audio_s else ""
    steps = f"{row.step_ms[0]:>10.2f}{row.step_ms[1]:>8.2f}" if row.step_ms else f"{'whole':>10}{'':>8}"
    figures = f"{row.cpu_ms_per_audio_s:>12.3f}{ratio:>15}{100 * row.word_error_rate:>8.1f}{steps}"
    return f"  {row.engine:<24}{figures}{row.alpha:>7g}{row.beta:>6g}"


def _wish_line(wished: Wished) -> str:
    costs = ", ".join(f"{ratio:.2f} × ({name})" for name, ratio in wished.ratios.items())
    search = f"; the search takes as long as without {costs}" if costs else ""
    return f"{wished.what}: ready in {wished.ready_ms:g} ms{search}"
