"""`earloop train tiny`, the whole way: from nothing to a bundle that is served, resumed, interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from stt_server.corpus.clip import Clip
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle
from stt_server.speech.decoder.choice import usual_search
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from tests.training.conftest import Typed
from tests.training.material import with_graphs_of
from tests.voices import say
from training import checkpoints
from training.learning import learn
from training.lm import estimate, write_arpa
from training.places import Places
from training.preparing import prepare, write_language_model
from training.recipe import LanguageModel, load_recipe
from training.report import Report
from training.run import run_recipe
from training.rundir import Run
from training.synthetic import HELD_OUT
from training.terminal import Terminal

SEARCH = usual_search()
ROOT = Path(__file__).parents[2]
SMALL = {
    "data.train.0.synthetic.count": 10,
    "data.dev.0.synthetic.count": 2,
    "data.test.0.synthetic.count": 2,
    "schedule.epochs": 1,
    "kit.utterances": 2,
}
TIMEOUT_S = 300

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * TIMEOUT_S)]


def command(folder: Path, *words: str, **changes: Any) -> list[str]:
    told = [f"--set={key}={value}" for key, value in (SMALL | changes).items()]
    places = ["--output", str(folder / "run"), "--cache", str(folder / "cache")]
    return [sys.executable, "-m", "stt_server.cli", "train", "tiny", *places, *told, *words]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def run(words: Sequence[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """In a folder of its own, as from any shell."""
    return subprocess.run(
        words, cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def events(folder: Path) -> list[dict[str, Any]]:
    path = folder / "run" / "log.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    done = run(command(folder), folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_bundle_is_complete_and_recognises(finished: Path) -> None:
    bundle = finished / "run" / "bundle"
    manifest = load_bundle(bundle).manifest
    assert manifest.name == "tiny"
    assert set(manifest.models) == {"fp32", "int8"}
    assert manifest.right_context_ms == 2 * 40 + 15
    assert manifest.lineage["steps"] > 0
    parity = manifest.lineage["parity"]
    assert (parity["test_clips"], parity["different_texts"]) == (2, 0)
    assert manifest.lm
    for precision in manifest.models:
        recognizer = Recognizer.load(bundle, precision=precision)
        assert recognizer.transcribe(read_audio(bundle / "golden.flac")).text == manifest.golden.text
        assert recognizer.transcribe(say("yes")).audio_s > 0
    assert not (finished / "run" / "bundle.part").exists()


def test_the_kit_speaks_with_voices_of_its_own_and_holds_clips_without_words(finished: Path) -> None:
    kit = list(read_manifest(finished / "run" / "bundle" / "kit" / "manifest.csv"))
    assert {clip.source for clip in kit} == {"kit-clean", "kit-noisy", "kit-quiet"}
    assert {clip.speaker for clip in kit if clip.text} <= set(HELD_OUT)
    assert all(clip.text == "" for clip in kit if clip.source == "kit-quiet")
    for clip in kit:
        assert len(read_audio(clip.path)) / 16000 == pytest.approx(clip.duration_s, abs=0.05)


def test_rates_are_measured_for_every_source_and_decoder(finished: Path) -> None:
    rows = load_bundle(finished / "run" / "bundle").manifest.error_rates
    measured = {(row["source"], row["decoder"]) for row in rows}
    sources = ("synthetic", "kit-clean", "kit-noisy")
    assert measured == {(source, decoder) for source in sources for decoder in ("greedy", SEARCH)}
    for row in rows:
        assert row["utterances"] > 0
        for rate in ("wer", "cer", "exact"):
            assert row[rate]["low"] <= row[rate]["value"] <= row[rate]["high"]


def test_the_card_tells_data_rates_and_false_words(finished: Path) -> None:
    bundle = load_bundle(finished / "run" / "bundle")
    assert bundle.manifest.card
    card = bundle.path(bundle.manifest.card).read_text(encoding="utf-8")
    assert card.startswith("# tiny ")
    for sentence in (
        "95 ms of right context",
        "| synthetic | 10 |",
        "| kit-noisy | 1 | greedy |",
        "in which a word was heard: ",
        f"of 20 ({SEARCH})",
        "Licence: CC0-1.0.",
    ):
        assert sentence in card


def test_the_folder_of_a_run_says_what_was_done(finished: Path) -> None:
    folder = finished / "run"
    assert json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["schedule"]["epochs"] == 1
    assert (folder / "findings.csv").read_text(encoding="utf-8").startswith("severity,kind,path")
    assert {event["event"] for event in events(finished)} == {"said", "validated"}
    assert checkpoints.load(folder / "last.pt").progress.epoch == 1


def test_the_run_is_reported_at_its_end(finished: Path) -> None:
    folder = finished / "run"
    report = Report.model_validate_json((folder / "report.json").read_text(encoding="utf-8"))
    assert (report.name, report.state, report.test.measured_on) == ("tiny", "finished", "test")
    assert report.test.greedy
    assert report.test.lm
    assert {source.name for source in report.sources} == {"synthetic", "kit-clean", "kit-noisy"}
    quiet = [row for row in report.false_accepts if row.decoder == "lm"]
    assert [row.clips for row in quiet] == [20]
    assert (report.data.train.clips, report.durations.epochs) == (10, 1)
    assert report.data.holds_for.startswith("The result holds for")
    assert list(report.curves.wer) == ["synthetic"]
    assert "<audio controls" in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "suspects.csv").read_text(encoding="utf-8").startswith("path,split,text,heard,loss")
    assert events(finished)[-1]["sentence"] == f"the report is {folder / 'report.html'}"


def test_resuming_a_finished_run_exports_it_anew_and_learns_nothing(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `test_command.py` types it of a run that has more to learn."""
    folder = finished / "run"
    checkpoint, manifest = folder / "last.pt", folder / "bundle" / "bundle.json"
    before = checkpoint.read_bytes(), len([event for event in events(finished) if event["event"] == "validated"])
    manifest.unlink()
    with_graphs_of(manifest.parent, monkeypatch)
    places = Places(None, finished / "cache")
    run_recipe(Run(load_recipe("tiny", SMALL), places, folder, Terminal(folder / "log.jsonl")), resume=True)
    assert manifest.exists()
    validated = len([event for event in events(finished) if event["event"] == "validated"])
    assert (checkpoint.read_bytes(), validated) == before


def test_ctrl_c_ends_the_learning_and_still_exports(tmp_path: Path) -> None:
    endless = command(tmp_path, **{"schedule.epochs": 100_000, "schedule.workers": 1})
    process = subprocess.Popen(endless, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + TIMEOUT_S
        while not any(event["event"] == "step" for event in events(tmp_path)):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "it never learned"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 0, told
    assert "what was learned is exported now; --resume goes on later" in told
    assert "Traceback" not in told
    learned = checkpoints.load(tmp_path / "run" / "last.pt").progress
    assert learned.step >= 50
    assert load_bundle(tmp_path / "run" / "bundle").manifest.lineage["steps"] == learned.step
    assert json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["state"] == "interrupted"


def test_a_new_run_in_an_old_folder_keeps_the_old_checkpoint(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    recipe = load_recipe("tiny", SMALL)
    started = Run(recipe, Places(None, finished / "cache"), folder, Terminal(tmp_path / "log.jsonl"))
    started, gathering = prepare(started)
    (folder / "last.pt").write_bytes(b"hours of learning")
    learn(started, gathering, resume=False)
    assert (folder / "previous.pt").read_bytes() == b"hours of learning"
    assert checkpoints.load(folder / "last.pt").progress.epoch == 1


def test_the_language_model_counts_transcripts_as_often_as_they_weigh(finished: Path, tmp_path: Path) -> None:
    """Synthetic sentences are not transcripts; what people said is, three times by default."""
    clips = [Clip(Path("a"), "lights on", "real"), Clip(Path("b"), "never said", "synthetic")]
    lm = LanguageModel(order=1, cutoffs=(0,), transcripts_weight=3)
    write_language_model(lm, clips, Places(None, tmp_path), tmp_path / "lm.arpa")
    write_arpa(estimate(["lights on"] * 3, 1, (0,)), tmp_path / "expected.arpa")
    assert (tmp_path / "lm.arpa").read_bytes() == (tmp_path / "expected.arpa").read_bytes()


@pytest.mark.parametrize("missing", ["torch", "onnx", "onnxscript"])
def test_without_the_extra_the_command_names_it(missing: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from stt_server.cli import main; main(['train', 'tiny'])"
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 2
    assert f"earloop: {missing} is not installed; training needs it: pip install 'earloop[train]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["en-small"], 3, "no corpus 'an4': set EARLOOP_CORPORA to the folder that holds the corpora"),
        (["tiyn"], 3, "there is no recipe 'tiyn': give a YAML file's path or one of: commands, en-small"),
        (["tiny", "--set", "schedule.epoch=3"], 2, "there is no key `schedule.epoch`; did you mean `epochs`?"),
        (["tiny", "--set", "epochs"], 2, "write key=value, such as schedule.epochs=3"),
        (["tiny", "--resume"], 3, "start the run without --resume"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    words: list[str], code: int, complaint: str, typed: Callable[..., Typed]
) -> None:
    done = typed("train", *words)
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    assert done.err.startswith("earloop: ")
    assert complaint in done.err
