"""A report made and written: report.json, report.html and suspects.csv in one folder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from stt_server.corpus.findings import summarise
from stt_server.corpus.splits import holds_for
from stt_server.errors import Unsupported
from stt_server.speech.bundle import load_bundle
from training.report import lineage
from training.report.charts import curve_chart
from training.report.curves import read_curves
from training.report.differences import confusions
from training.report.figures import Ears, by_group, by_source, lm_effect, measured, of_the_test
from training.report.groups import Sorting, estimated_ratios
from training.report.learning import learning_curve, record_next
from training.report.page import MOST_SUSPECTS, Pictures, render
from training.report.players import Player, best_median_worst
from training.report.quiet import false_accepts
from training.report.schema import Code, Data, Durations, Found, Report
from training.report.suspects import from_evaluation, write_suspects_csv

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation
    from stt_server.corpus.findings import Finding
    from stt_server.corpus.noise import NoiseClip
    from stt_server.speech.bundle import Bundle
    from training.report.schema import Curves, Learning, LearningPoint, Suspect

PACKAGES = ("jinja2", "matplotlib")
MEGABYTE = 1_000_000
SHARE_OF_SUSPECTS = 0.3  # of the page's audio
MOST_EXAMPLES = 12
LOSS, DEV = "Training loss", "Word error rate of the development sets, greedy"


@dataclass(frozen=True, slots=True)
class Material:
    """What a report is made of. `evaluations` are of the bundle's decoders, on the test and on its kit."""

    name: str
    bundle: Path
    evaluations: Sequence[Evaluation]
    state: str = "measured"  # or finished, or interrupted
    data_hash: str = ""  # of the run's data; without one, of what is known of the clips
    holds_for: str = ""  # for whom a result holds; without it, by the clips
    train: Sequence[Clip] = ()
    dev: Sequence[Clip] = ()
    test: Sequence[Clip] = ()
    findings: Sequence[Finding] = ()
    noise: Sequence[NoiseClip] = ()
    log: Path | None = None
    suspects: Sequence[Suspect] = ()  # of the clips that were learned from
    learning: Sequence[LearningPoint] = ()
    players: int = 5
    audio_mb: float = 8.0
    noise_minutes: float = 10.0


@dataclass(frozen=True, slots=True)
class _Made:
    """Half-way: what report and page both need."""

    ears: Ears
    sorting: Sorting
    curves: Curves
    suspects: list[Suspect]
    learning: tuple[Learning, str] | None = field(default=None)


def check_packages() -> None:
    """Raises Unsupported where a report's packages are not installed: better before hours of measuring than behind."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise Unsupported(f"a report needs {' and '.join(missing)}: pip install 'earloop[train]'")


def write_report(material: Material, folder: Path) -> Report:
    """Make the report of `material` and write it into `folder`; `check_packages` says whether it can be."""
    ears = Ears(material.evaluations)
    made = _Made(
        ears=ears,
        sorting=_sorting(material, ears),
        curves=read_curves(material.log),
        suspects=[*from_evaluation(of_the_test(ears.best)), *material.suspects],
        learning=learning_curve(material.learning) if material.learning else None,
    )
    report = _report(material, made)
    page = render(report, _pictures(material, made))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page, encoding="utf-8", errors="backslashreplace")
    write_suspects_csv(folder / "suspects.csv", made.suspects)
    return report


def summary(report: Report, folder: Path) -> list[str]:
    """The report in a few lines, for the terminal."""
    lines = []
    for name, rates in (("greedy", report.test.greedy), ("with language model", report.test.lm)):
        if rates:
            wer, wrong = rates.wer, rates.sentence_error
            lines.append(
                f"{name}: WER {100 * wer.value:.1f} % ({100 * wer.low:.1f} to {100 * wer.high:.1f}), "
                f"sentence error {100 * wrong.value:.1f} %, in {rates.utterances} utterances"
            )
    if report.data.train.clips and report.test.measured_on == "test":
        lines.append(report.data.holds_for)
    quiet = report.false_accepts[-1:]
    lines += [f"{each.words} words heard in {each.hours:.2g} hours of {each.material}" for each in quiet]
    if report.suspects:
        lines.append(f"{len(report.suspects)} labels look wrong: {folder / 'suspects.csv'}")
    if report.record_next:
        lines.append(f"record next: {', '.join(each.name for each in report.record_next[:5])}")
    return [*lines, f"the report is {folder / 'report.html'}"]


def _report(material: Material, made: _Made) -> Report:
    bundle, ears = load_bundle(material.bundle), made.ears
    return Report(
        name=material.name,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        state=material.state,
        test=measured(ears),
        sources=by_source(ears),
        groups=by_group(ears, made.sorting),
        lm_effect=lm_effect(ears),
        confusions=confusions(of_the_test(ears.best)),
        false_accepts=false_accepts(ears, material.bundle, material.noise, material.noise_minutes),
        data=_data(material),
        curves=made.curves,
        suspects=made.suspects,
        record_next=record_next(of_the_test(ears.best), material.train, made.sorting) if material.train else [],
        learning=made.learning[0] if made.learning else None,
        model=lineage.size(bundle),
        durations=_durations(bundle, ears),
        code=Code(commit=str(bundle.manifest.lineage.get("code", "")), package=lineage.package_version()),
        machine=lineage.machine(),
    )


def _sorting(material: Material, ears: Ears) -> Sorting:
    utterances = of_the_test(ears.best)
    seconds = {clip.path: clip.duration_s for clip in material.train if clip.duration_s is not None}
    seconds |= {each.clip.path: each.audio_s for each in utterances}
    return Sorting(material.train, seconds, estimated_ratios(each.clip for each in utterances))


def _data(material: Material) -> Data:
    train, dev, test = material.train, material.dev, material.test
    return Data(
        hash=material.data_hash or lineage.data_hash(train, dev, test),
        train=lineage.clips_of(train),
        dev=lineage.clips_of(dev),
        test=lineage.clips_of(test),
        holds_for=material.holds_for or _holds_for(train, test),
        findings=[
            Found(severity=each.severity, kind=each.kind, clips=each.clips, example=each.example.sentence)
            for each in summarise(material.findings)
        ],
    )


def _holds_for(train: Sequence[Clip], test: Sequence[Clip]) -> str:
    if not train:
        return "What the model learned from is not at hand."
    return holds_for([*_as(train, "train"), *_as(test, "test")])


def _as(clips: Sequence[Clip], split: str) -> list[Clip]:
    """As clips of a part, whatever their manifest calls it."""
    return [replace(clip, split=split) for clip in clips]


def _durations(bundle: Bundle, ears: Ears) -> Durations:
    learned = bundle.manifest.lineage
    return Durations(
        training_minutes=learned.get("training_minutes"),
        steps=learned.get("steps"),
        epochs=learned.get("epochs"),
        test_hours=round(sum(each.audio_s for each in ears.best) / 3600, 5),
    )


def _pictures(material: Material, made: _Made) -> Pictures:
    """The suspects have their share of the page's audio first, then the utterances the rest."""
    curves, room = made.curves, int(material.audio_mb * MEGABYTE)
    few = Player(int(SHARE_OF_SUSPECTS * room))
    paths = {each.clip.path for heard in made.ears.both.values() for each in heard}
    known = {str(path): path for path in (*paths, *(clip.path for clip in (*material.train, *material.dev)))}
    suspects = [(each, few(known[each.path])) for each in made.suspects[:MOST_SUSPECTS]]
    player = Player(room - int(SHARE_OF_SUSPECTS * room) + few.room_bytes)
    repaired, broken = _changed(made.ears)
    return Pictures(
        charts={
            LOSS: curve_chart(LOSS, "loss per letter", {"loss": curves.loss}),
            DEV: curve_chart(DEV, "WER, %", curves.wer, per_cent=True),
        },
        learning_chart=made.learning[1] if made.learning else "",
        utterances=best_median_worst(of_the_test(made.ears.best), material.players, player),
        suspects=suspects,
        repaired=repaired,
        broken=broken,
    )


def _changed(ears: Ears) -> tuple[list[tuple[str, str, str]], list[tuple[str, str, str]]]:
    """Utterances that the language model repaired, and that it broke: said, greedy, with language model."""
    pairs = ears.pairs
    repaired = [(a.said, a.heard, b.heard) for a, b in pairs if a.errors and not b.errors]
    broken = [(a.said, a.heard, b.heard) for a, b in pairs if b.errors and not a.errors]
    return repaired[:MOST_EXAMPLES], broken[:MOST_EXAMPLES]
